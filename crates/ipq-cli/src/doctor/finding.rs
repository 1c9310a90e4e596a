//! What the doctor says: [`Finding`].

/// What a finding is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Topic {
    Kernel,
    Capability,
    Namespace,
    Target,
    Rule,
    Queue,
    Buffer,
}

impl Topic {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Capability => "capability",
            Self::Namespace => "namespace",
            Self::Target => "target",
            Self::Rule => "rule",
            Self::Queue => "queue",
            Self::Buffer => "buffer",
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// It cannot be told from here.
    Unknown,
    /// A queue works, but packets may be lost.
    Warning,
    /// Without it no queue works.
    Missing,
}

impl Level {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Missing => "missing",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Finding {
    pub(super) topic: Topic,
    /// What was looked at, in a word that stays the same.
    pub(super) name: &'static str,
    pub(super) level: Level,
    pub(super) message: String,
    /// What to do about it.
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn new(
        topic: Topic,
        name: &'static str,
        level: Level,
        message: impl Into<String>,
    ) -> Self {
        Self { topic, name, level, message: message.into(), remedy: None }
    }

    /// With what to do about it.
    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
