//! What programs ask of their queues.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::netlink::{Flags, Message, MessageType, messages};
use ipq_proto::nfqueue::{Command, ConfigRequest, QueueFlags, VerdictRequest};
use ipq_proto::{Abi, Errno, Family};
use zerocopy::ByteOrder;

use super::receive::{Request, read};
use super::{ALL_FLAGS, Nfqueues, Owner};
use crate::fate::Reason;
use crate::machine::Machine;
use crate::netlink::SocketKey;
use crate::packet::Packet;
use crate::queueing::action;
use crate::reply::{self, Answer, Manner};

impl Machine {
    /// A program sends `datagram` to the subsystems of netfilter: any number of messages, of which each is answered that
    /// fails or asks for it. The first one whose length lies ends the datagram, silently.
    ///
    /// # Errors
    ///
    /// `ENODATA` if it is empty.
    pub(crate) fn netfilter_datagram(
        &mut self,
        key: SocketKey,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        struct Serve<'m, 'd> {
            machine: &'m mut Machine,
            key: SocketKey,
            datagram: &'d [u8],
        }
        impl AbiVisitor for Serve<'_, '_> {
            type Output = ();

            fn visit<A: Abi>(self) {
                let Self { machine, key, datagram } = self;
                for message in messages::<A::Order>(datagram).map_while(Result::ok) {
                    if !machine.sockets.get(key).privileged {
                        // Whatever else is in the datagram is not even looked at.
                        return machine.answer(key, &message, Some(Errno::EPERM));
                    }
                    let error = machine.serve::<A::Order>(key, &message).err();
                    if error.is_some() || message.header.flags.contains(Flags::ACK) {
                        machine.answer(key, &message, error);
                    }
                }
            }
        }
        if datagram.is_empty() {
            return Err(Errno::ENODATA);
        }
        self.model.with(Serve { machine: self, key, datagram });
        Ok(())
    }

    fn answer(&mut self, key: SocketKey, request: &Message<'_>, error: Option<Errno>) {
        let port_id = self.sockets.get(key).port_id;
        let mut reply = self.memory.messages.take();
        // Where ip_queue is at work, this is an old kernel.
        let is_old = self.ip_queues.iter().next().is_some();
        let manner = if is_old { Manner::OLD } else { Manner::TODAY };
        let answer = Answer { request, port_id, error, manner };
        reply::write(self.model, answer, &mut reply);
        self.send_to(key, reply);
    }

    fn serve<'a, O: ByteOrder + 'a>(
        &mut self,
        key: SocketKey,
        message: &Message<'a>,
    ) -> Result<(), Errno> {
        let header = &message.header;
        if !header.flags.contains(Flags::REQUEST) || header.message_type < MessageType::MIN_TYPE {
            return Ok(());
        }
        self.queues()?;
        let request = read::<O>(message)?;
        let owner = Owner { socket: key, port_id: self.sockets.get(key).port_id };
        match request {
            Request::Nothing => Ok(()),
            Request::Config(config) => self.configure(owner, &config),
            Request::Verdict { queue, verdict, is_batch } => {
                self.carry_out_verdict(owner, queue, verdict, is_batch)
            }
        }
    }

    /// The queues, if the module is loaded; without it nobody knows these messages.
    fn queues(&mut self) -> Result<&mut Nfqueues, Errno> {
        self.nfqueues.as_mut().ok_or(Errno::EINVAL)
    }

    fn configure(&mut self, owner: Owner, config: &ConfigRequest) -> Result<(), Errno> {
        let number = config.queue;
        let command = config.command.map(|(command, _)| command);
        if let (Some(Command::PF_BIND | Command::PF_UNBIND), Some((command, family))) =
            (command, config.command)
        {
            return self.bind_family(command, family);
        }
        let flags = self.checked_flags(config)?;
        // Whoever has the queue alone may say anything of it.
        self.queues()?.of(owner, number)?;
        match command {
            None => (),
            Some(Command::BIND) => self.queues()?.bind(owner, number)?,
            Some(Command::UNBIND) => {
                let queue = self.queues()?.unbind(number);
                let mut queue = queue.ok_or(Errno::ENODEV)?;
                self.finish_all(queue.flush(|_| true), Reason::PeerClosed);
                return Ok(());
            }
            Some(_) => return Err(Errno::EOPNOTSUPP),
        }
        let queue = self.queues()?.get(number).ok_or(Errno::ENODEV)?;
        if let Some((mode, range)) = config.params {
            queue.set_mode(mode, range);
        }
        if let Some((flags, mask)) = flags {
            queue.set_flags(flags, mask);
        }
        if let Some(max_length) = config.max_length {
            queue.set_max_length(max_length);
        }
        Ok(())
    }

    /// The options that a request sets, and which of them it means.
    ///
    /// Options need a mask, and must exist even if the mask leaves them out; what must be there for one to be of use
    /// counts only if it is meant.
    fn checked_flags(
        &self,
        config: &ConfigRequest,
    ) -> Result<Option<(QueueFlags, QueueFlags)>, Errno> {
        let Some(flags) = config.flags else { return Ok(None) };
        let mask = config.mask.ok_or(Errno::EINVAL)?;
        let meant = QueueFlags(flags.0 & mask.0);
        let is_served = self.has_conntrack || !meant.contains(QueueFlags::CONNTRACK);
        if ALL_FLAGS.contains(flags) && is_served {
            Ok(Some((flags, mask)))
        } else {
            Err(Errno::EOPNOTSUPP)
        }
    }

    /// Makes this module the handler of an address family, which it is wherever `ip_queue` is not.
    fn bind_family(&mut self, command: Command, family: u16) -> Result<(), Errno> {
        let family = match family {
            2 => Family::Ipv4,
            10 => Family::Ipv6,
            _ => return Ok(()),
        };
        let is_bound = command == Command::PF_BIND;
        match self.ip_queue(family) {
            Some(_) if is_bound => Err(Errno::EBUSY),
            Some(_) => Err(Errno::EINVAL),
            None => {
                self.ip_queues.let_load(family, !is_bound);
                Ok(())
            }
        }
    }

    fn carry_out_verdict(
        &mut self,
        owner: Owner,
        number: u16,
        request: Option<VerdictRequest<'_>>,
        is_batch: bool,
    ) -> Result<(), Errno> {
        let queue = self.queues()?.of(owner, number)?.ok_or(Errno::ENODEV)?;
        let request = request.ok_or(Errno::EINVAL)?;
        let verdict = request.verdict;
        if !action(verdict).is_allowed() {
            return Err(Errno::EINVAL);
        }
        if !is_batch {
            let (mut packet, position) = queue.waiting.take(request.id).ok_or(Errno::ENOENT)?;
            relabel(&mut packet, &request);
            self.decide(packet, position, verdict, request.replacement);
            return Ok(());
        }
        // All are taken out before the first one goes on: one that is queued again is a new one.
        let mut taken = core::mem::take(&mut self.batch);
        let queue = self.queues()?.get(number).ok_or(Errno::ENODEV)?;
        taken.extend(core::iter::from_fn(|| queue.waiting.take_first_up_to(request.id)));
        let found = if taken.is_empty() { Err(Errno::ENOENT) } else { Ok(()) };
        for (mut packet, position) in taken.drain(..) {
            relabel(&mut packet, &request);
            self.decide(packet, position, verdict, None);
        }
        self.batch = taken;
        found
    }

    /// A socket of netfilter has closed, and takes its queues with it.
    pub(crate) fn nfqueue_owner_closed(&mut self, port_id: u32) {
        let Some(queues) = &mut self.nfqueues else { return };
        for mut queue in queues.unbind_all(port_id) {
            self.finish_all(queue.flush(|_| true), Reason::PeerClosed);
        }
    }
}

/// Gives a packet the mark and the priority of its verdict.
fn relabel(packet: &mut Packet, request: &VerdictRequest<'_>) {
    packet.mark = request.mark.unwrap_or(packet.mark);
    packet.priority = request.priority.unwrap_or(packet.priority);
}
