//! What the templates of `views` have of it: the function `t` and the variable `locale`.

use cepa_core::Ctx;
use minijinja::value::{Kwargs, Rest, Value};

use super::Chosen;
use crate::views::Locals;

/// Offers both to the pages of this request, in the locale that it has by then.
pub(super) fn offer(ctx: &mut Ctx) {
    Locals::of(ctx).later(|ctx| {
        if let Some(chosen) = ctx.state::<Chosen>().cloned() {
            let locals = Locals::of(ctx).set("locale", chosen.catalog.name(chosen.place));
            locals.set_function("t", move |key: &str, unnamed: Rest<Value>, named: Kwargs| {
                tell(&chosen, key, &unnamed, &named)
            });
        }
        Ok(())
    });
}

/// What templates call: `t("greeting", name="Ada")`, `t("%s of %s", 1, 2)`.
fn tell(chosen: &Chosen, key: &str, unnamed: &[Value], named: &Kwargs) -> Result<String, minijinja::Error> {
    let mut message = chosen.catalog.message(chosen.place, key);
    for value in unnamed {
        message = message.arg(value.to_string());
    }
    for name in named.args() {
        message = message.with(name, named.get::<Value>(name)?.to_string());
    }
    Ok(message.to_string())
}
