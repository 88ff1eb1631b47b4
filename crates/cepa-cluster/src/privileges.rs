//! The user that a cluster runs as: root binds the sockets, and is root no more.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use rustix::process::{Gid, Uid, geteuid};

use crate::config::ClusterConfig;

/// Why the user cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody has that name.
    #[error("cluster.{field}: this machine knows no {name:?}; write its number")]
    Unknown {
        /// The key.
        field: &'static str,
        /// What it says.
        name: String,
    },
    /// Only root may do that.
    #[error("cluster.user: only root can run as another user; start it as root, or leave the key out")]
    NotRoot,
    /// The group is that of nobody.
    #[error("cluster.group: needs cluster.user beside it")]
    NoUser,
    /// The run folder belongs to somebody else.
    #[error("cluster.run_dir: the folder is there and does not belong to cluster.user; chown it")]
    Folder,
    /// The process has threads already, which would stay root.
    #[error("cluster.user: the process has other threads, which would go on as root")]
    Threads,
    /// The system says no.
    #[error("cluster.user: {0}")]
    System(#[from] io::Error),
}

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    user: u32,
    group: u32,
}

impl Identity {
    /// Whom everything is to run as; `None` for whoever this process is.
    pub(crate) fn of(config: &ClusterConfig) -> Result<Option<Self>, PrivilegeError> {
        let Some(name) = &config.user else {
            return if config.group.is_some() { Err(PrivilegeError::NoUser) } else { Ok(None) };
        };
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (users, groups) = (read("/etc/passwd"), read("/etc/group"));
        let identity = Self::find(name, config.group.as_deref(), &users, &groups)?;
        match geteuid().as_raw() {
            own if own == identity.user => Ok(None),
            0 => Ok(Some(identity)),
            _ => Err(PrivilegeError::NotRoot),
        }
    }

    /// Looks a user and a group up in texts of the form of passwd(5) and group(5).
    fn find(user: &str, group: Option<&str>, users: &str, groups: &str) -> Result<Self, PrivilegeError> {
        let by_number = || user.parse().ok();
        let entry = entries(users).find(|fields| fields[0] == user || fields.get(2) == Some(&user));
        let number = |field: Option<&&str>| field.and_then(|field| field.parse::<u32>().ok());
        let user_number = entry.as_ref().and_then(|fields| number(fields.get(2))).or_else(by_number);
        let unknown = |field, name: &str| PrivilegeError::Unknown { field, name: name.to_owned() };
        let user_number = user_number.ok_or_else(|| unknown("user", user))?;
        let group_number = match group {
            Some(group) => {
                let entry = entries(groups).find(|fields| fields[0] == group);
                let named = entry.as_ref().and_then(|fields| number(fields.get(2)));
                named.or_else(|| group.parse().ok()).ok_or_else(|| unknown("group", group))?
            }
            None => {
                let own = entry.as_ref().and_then(|fields| number(fields.get(3)));
                own.ok_or_else(|| unknown("user", user))?
            }
        };
        Ok(Self { user: user_number, group: group_number })
    }

    /// Gives a file, or a folder, to this user.
    pub(crate) fn own(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.user), Some(self.group))
    }

    pub(crate) fn owns(self, path: &Path) -> io::Result<bool> {
        Ok(fs::metadata(path)?.uid() == self.user)
    }

    /// Makes this process, and all that it makes, run as this user and with no other groups, for good.
    ///
    /// The calls are for one thread, so there must be no other.
    pub(crate) fn assume(self) -> Result<(), PrivilegeError> {
        if fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(PrivilegeError::Threads);
        }
        change(Uid::from_raw(self.user), Gid::from_raw(self.group))?;
        // What was root once must not be able to become it again.
        if geteuid().as_raw() != self.user || (self.user != 0 && change(Uid::ROOT, Gid::ROOT).is_ok()) {
            return Err(PrivilegeError::System(io::Error::other("the change has not lasted")));
        }
        Ok(())
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn change(user: Uid, group: Gid) -> io::Result<()> {
    use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
    // The user last: who is no longer root may not change groups.
    set_thread_groups(&[])?;
    set_thread_gid(group)?;
    Ok(set_thread_uid(user)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn change(_: Uid, _: Gid) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The entries of a file of lines whose fields are separated by colons.
fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\n#no:x:5:5::/:\nwww-data:x:33:34:www:/var/www:/bin/false\n";
    const GROUPS: &str = "root:x:0:\nwww-data:x:33:\nadm:x:4:syslog\n";

    #[test]
    fn users_and_groups_have_names_and_numbers() {
        let find =
            |user, group| Identity::find(user, group, USERS, GROUPS).ok().map(|it| (it.user, it.group));
        for (user, group, found) in [
            ("www-data", None, Some((33, 34))),
            ("www-data", Some("adm"), Some((33, 4))),
            ("33", None, Some((33, 34))),
            ("33", Some("7"), Some((33, 7))),
            ("1000", Some("1000"), Some((1000, 1000))),
            // Its group cannot be known.
            ("1000", None, None),
            ("nobody", None, None),
            ("www-data", Some("no"), None),
            ("no", None, None),
            ("", None, None),
        ] {
            assert_eq!(find(user, group), found, "{user} {group:?}");
        }
    }

    #[test]
    fn a_group_alone_is_refused() {
        let config = ClusterConfig { group: Some("adm".to_owned()), ..ClusterConfig::default() };
        assert!(matches!(Identity::of(&config), Err(PrivilegeError::NoUser)));
    }
}
