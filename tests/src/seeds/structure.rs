//! Structured inputs, as `arbitrary` reads them: [`Structure`].

/// A structured input in the making: its values one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Structure(Vec<u8>);

impl Structure {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn byte(self, value: u8) -> Self {
        self.raw(&[value])
    }

    pub(super) fn half(self, value: u16) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn word(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }

    pub(super) fn flag(self, value: bool) -> Self {
        self.byte(value.into())
    }

    /// An option that is none, or a list that has ended.
    pub(super) fn none(self) -> Self {
        self.flag(false)
    }

    /// An option whose value follows, or an element of a list.
    pub(super) fn some(self) -> Self {
        self.flag(true)
    }

    /// The variant number `index` of an enumeration of so many.
    pub(super) fn variant(self, index: u32, count: u32) -> Self {
        assert!(index < count, "there is no such variant");
        let scaled = (u64::from(index) << 32).div_ceil(u64::from(count));
        self.word(u32::try_from(scaled).unwrap_or(u32::MAX))
    }

    /// Bytes behind their length, as `ipq_sys::fuzzing::Bytes` reads them.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.half(len).raw(&bytes[..len.into()])
    }

    /// What is written elsewhere.
    pub(super) fn then(self, other: Self) -> Self {
        self.raw(&other.finish())
    }
}
