//! How asking one server for one name can end.

use bytes::Bytes;

/// Why a server gave no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// HTTP 404 or 410, ERROR 1.
    NotFound,
    /// It has something that we may not have: HTTP 401, 403, ERROR 2.
    Forbidden,
    /// The file is elsewhere, and that is not followed: it could lead anywhere.
    Redirect,
    /// The answer is no file: an HTML page, a part, or compressed.
    WrongType,
    /// Over `max_file`.
    TooLarge,
    /// HTTP 5xx: not now.
    Unavailable,
    /// No answer, or too little of it in the time.
    Timeout,
    /// Nothing listens there, or there is no way there.
    Unreachable,
    /// It breaks its protocol, or sends more or less than it said.
    Broken,
    /// What is being fetched already takes the memory there is for that.
    NoRoom,
}

/// What a failure says about the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This server has nothing under the name that we could serve.
    No,
    /// It may have.
    Unknown,
}

impl Failure {
    pub const ALL: [Self; 10] = [
        Self::NotFound,
        Self::Forbidden,
        Self::Redirect,
        Self::WrongType,
        Self::TooLarge,
        Self::Unavailable,
        Self::Timeout,
        Self::Unreachable,
        Self::Broken,
        Self::NoRoom,
    ];

    /// The label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Redirect => "redirect",
            Self::WrongType => "wrong_type",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::NoRoom => "no_room",
        }
    }

    pub const fn verdict(self) -> Verdict {
        match self {
            Self::NotFound
            | Self::Forbidden
            | Self::Redirect
            | Self::WrongType
            | Self::TooLarge => Verdict::No,
            Self::Unavailable | Self::Timeout | Self::Unreachable | Self::Broken | Self::NoRoom => {
                Verdict::Unknown
            }
        }
    }

    /// Whether the next name would fare no better: then the server is left alone for a while.
    pub const fn is_of_server(self) -> bool {
        matches!(self, Self::Unavailable | Self::Timeout | Self::Unreachable)
    }

    /// What is told to people.
    pub const fn problem(self) -> &'static str {
        match self {
            Self::Unavailable => "says that it is not available",
            Self::Timeout => "does not answer",
            Self::Unreachable => "cannot be reached",
            Self::Broken => "breaks its protocol",
            _ => "does not give the file",
        }
    }
}

/// A whole file, or why there is none.
pub type Outcome = Result<Bytes, Failure>;

/// What all servers together say to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Content(Bytes),
    /// No server has it.
    Absent,
    /// Those that answered do not have it; the others may.
    Doubtful,
    /// No server has answered.
    Unknown,
}

impl Answer {
    /// Of the failures of servers asked in turn; `None` stands for one that was skipped.
    pub fn of_failures(failures: impl IntoIterator<Item = Option<Failure>>) -> Self {
        let (mut no, mut unknown) = (false, false);
        for failure in failures {
            match failure.map_or(Verdict::Unknown, Failure::verdict) {
                Verdict::No => no = true,
                Verdict::Unknown => unknown = true,
            }
        }
        match (no, unknown) {
            (true, false) => Self::Absent,
            (true, true) => Self::Doubtful,
            (false, _) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_server_denies_is_absent() {
        let no = Some(Failure::NotFound);
        let down = Some(Failure::Timeout);
        assert_eq!(
            Answer::of_failures([no, Some(Failure::Redirect)]),
            Answer::Absent
        );
        assert_eq!(Answer::of_failures([no, down]), Answer::Doubtful);
        assert_eq!(Answer::of_failures([None, no]), Answer::Doubtful);
        assert_eq!(Answer::of_failures([down, None]), Answer::Unknown);
        assert_eq!(Answer::of_failures([None]), Answer::Unknown);
    }
}
