//! Time passes while programs wait, and stands still while they work.
