//! Makes the folder of an app, by the convention of Egg: controllers, services, middlewares, schedules, a configuration
//! for each environment, views, public files and tests.

mod files;
mod name;

use std::{
    fs, io,
    path::{self, Path, PathBuf},
};

use self::files::FILES;
pub use self::name::{Name, NameError};

/// An app to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// The name of the package and of its program.
    pub name: Name,
    /// Where it is made, by default in a folder of its name.
    pub path: Option<PathBuf>,
    /// Where the sources of Cepa are, by default where this program was built.
    pub cepa: Option<PathBuf>,
}

/// Why an app was not made. Then nothing is there.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// There is something already.
    #[error("{}: it is there already, and stays as it is; choose another --path", .0.display())]
    Exists(PathBuf),
    /// The sources of Cepa are not where they should be.
    #[error("{}: no sources of Cepa; name the folder of a checkout with --cepa", .0.display())]
    NoCepa(PathBuf),
    /// A path that a manifest cannot hold.
    #[error("{}: a path in a manifest is UTF-8 without control characters", .0.display())]
    Path(PathBuf),
    /// The file system does not want it.
    #[error("{}: {source}", at.display())]
    System {
        /// What it does not want.
        at: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the sources of Cepa were when this program was built.
const BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cepa");

impl New {
    /// Makes the app, all of it or nothing, and says where.
    ///
    /// # Errors
    /// See [`NewError`]. A folder that is there is never touched.
    pub fn make(&self) -> Result<PathBuf, NewError> {
        let folder = self.path.clone().unwrap_or_else(|| self.name.as_str().into());
        let at = |path: &Path| {
            let at = path.to_owned();
            move |source| NewError::System { at, source }
        };
        let whole = path::absolute(&folder).map_err(at(&folder))?;
        let parent = whole.parent().unwrap_or(Path::new("/"));
        let cepa = self.cepa()?;
        fs::create_dir_all(parent).map_err(at(parent))?;
        // Whoever makes a folder first has it; what is written beside it comes into its place as a whole.
        match fs::create_dir(&whole) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(NewError::Exists(folder));
            }
            made => made.map_err(at(&folder))?,
        }
        let written = tempfile::Builder::new().prefix(".cepa-new-").tempdir_in(parent).and_then(|beside| {
            let all = beside.path().join("app");
            self.write(&all, &cepa, is_in_workspace(parent))?;
            fs::rename(&all, &whole)
        });
        if let Err(error) = written {
            // Unless somebody else has put something into it.
            let _ = fs::remove_dir(&whole);
            return Err(at(&folder)(error));
        }
        Ok(folder)
    }

    /// The path of the crate `cepa`, as a manifest has it.
    fn cepa(&self) -> Result<String, NewError> {
        let asked = self.cepa.clone().unwrap_or_else(|| BUILT_FROM.into());
        let of_checkout = asked.join("crates/cepa");
        let found = [&of_checkout, &asked].into_iter().find(|folder| {
            fs::read_to_string(folder.join("Cargo.toml"))
                .is_ok_and(|text| text.lines().any(|line| line == "name = \"cepa\""))
        });
        let found = found.and_then(|folder| fs::canonicalize(folder).ok());
        let found = found.ok_or_else(|| NewError::NoCepa(asked.clone()))?;
        let text = found.to_str().filter(|text| !text.contains(char::is_control));
        let text = text.ok_or_else(|| NewError::Path(found.clone()))?;
        Ok(text.replace('\\', r"\\").replace('"', r#"\""#))
    }

    fn write(&self, folder: &Path, cepa: &str, is_in_workspace: bool) -> io::Result<()> {
        for (path, text) in FILES {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            let mut text =
                text.replace("my-app", self.name.as_str()).replace("my_app", &self.name.as_crate());
            if path == folder.join("Cargo.toml") {
                text = text.replace("\"../../cepa\"", &format!("\"{cepa}\""));
                if is_in_workspace {
                    text.push_str(
                        "\n# It stands for itself, whatever workspace is around it.\n[workspace]\n",
                    );
                }
            }
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// Whether cargo would take what is in this folder for a member of a workspace.
fn is_in_workspace(folder: &Path) -> bool {
    folder.ancestors().any(|folder| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        manifest.lines().any(|line| line.trim_start().starts_with("[workspace"))
    })
}

#[cfg(test)]
mod tests;
