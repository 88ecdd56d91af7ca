//! Whether colours are wanted on a terminal.

/// <https://no-color.org>: unless `NO_COLOR` is set, and not empty.
pub(super) fn is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty())
}
