//! What a test needs of a network: [`Network`].

use ipq_proto::Family;

/// Packets from this host to itself, which a rule at `LOCAL_OUT` queues: all UDP of both families.
pub(crate) trait Network {
    /// What `IPQ_TRANSPORT` has to be for its queue.
    fn transport(&self) -> String;

    /// Sends a UDP packet with this text.
    fn send(&mut self, family: Family, text: &str);

    /// The text of the next packet that arrives; `None` if none does although there was time for it.
    fn receive(&mut self) -> Option<String>;

    /// Whether verdicts can have a mark.
    fn has_marks(&self) -> bool;

    /// Whether the receive buffer of the program's descriptor is the kernel's.
    fn has_receive_buffer(&self) -> bool;
}
