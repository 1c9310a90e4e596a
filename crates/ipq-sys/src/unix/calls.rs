//! The server at work: requests carried out, and answered.

use std::time::Instant;

use ipq_proto::Errno;

use super::Datagram;

use super::frame::{
    Answer, AnswerFlags, Call, FrameError, ItemHead, ItemKind, Items, MAX_FRAME_LEN, Request,
    SocketOption,
};
use super::kernel::{ServedKernel, SocketId};
use super::server::{Fate, Server};

/// A request that is being carried out.
struct Asked<'r> {
    /// The position of the data connection that it is about.
    about: Option<usize>,
    arguments: [u32; 2],
    rest: &'r [u8],
}

/// A request makes no sense.
fn wrong(problem: &'static str) -> FrameError {
    FrameError { what: "request", problem }
}

impl<K: ServedKernel> Server<K> {
    /// Carries out the request of `len` bytes that came by a control connection, and answers it.
    pub(super) fn carry_out(&mut self, position: usize, len: usize) -> Fate {
        let request = core::mem::take(&mut self.request);
        let answered = self.answer_to(&request[..len]);
        self.request = request;
        match answered {
            Ok(false) => Fate::Stays,
            Ok(true) => {
                // Whoever gets the answer finds readable what the request made so.
                self.signal_all();
                if self.connections[position].answer(&self.answer) {
                    Fate::Stays
                } else {
                    Fate::Ends
                }
            }
            Err(_) => Fate::Breaks,
        }
    }

    /// Carries out a request, and writes the answer; says whether there is one.
    fn answer_to(&mut self, frame: &[u8]) -> Result<bool, FrameError> {
        let (request, rest) = Request::parse(frame)?;
        self.statistics.requests += 1;
        let about = self.find(request.socket());
        if let Some(data) = about.and_then(|about| self.connections[about].data()) {
            data.works_on();
        }
        self.answer.clear();
        self.answer.resize(Answer::LEN, 0);
        let asked = Asked { about, arguments: request.arguments(), rest };
        let answer = Answer::new(request.sequence());
        let answer = match request.call() {
            Call::WAITING => {
                if let Some(about) = about {
                    self.waits(about);
                }
                return Ok(false);
            }
            Call::RECEIVE => self.receive(&asked, answer, false),
            Call::PEEK => self.receive(&asked, answer, true),
            Call::SEND => answer.with_result(self.send(&asked)?),
            Call::DESCRIBE => self.describe(&asked, answer),
            Call::READ_FILE => answer.with_result(self.read_file(&asked)?),
            Call::WRITE_FILE => answer.with_result(self.write_file(&asked)?),
            Call::DEVICE => answer.with_result(self.device(&asked)),
            call => answer.with_result(self.configure(call, &asked)?),
        };
        self.answer[..Answer::LEN].copy_from_slice(answer.as_head());
        Ok(true)
    }

    /// Takes messages for a socket.
    fn receive(&mut self, asked: &Asked<'_>, answer: Answer, peek: bool) -> Answer {
        let Some((position, data)) =
            asked.about.and_then(|position| Some((position, self.connections[position].data()?)))
        else {
            return answer.with_result(Err(NOT_A_SOCKET));
        };
        let socket = data.socket;
        let [len, most] = asked.arguments.map(|argument| usize::try_from(argument).unwrap_or(0));
        let most = if peek { 1 } else { most.max(1) };
        let asks_for_next = !peek && self.asks_for_next(position);
        if asks_for_next {
            self.waits(position);
        }
        let (mut count, mut result, mut has_looked) = (0, Ok(ItemKind::Datagram), false);
        // What is longer than fits into a frame comes alone, and cut.
        while count < most {
            let len = self.kernel.next_len(socket).map_or(len, |next| next.min(len));
            if count > 0 && self.answer.len() + ItemHead::LEN + len > MAX_FRAME_LEN {
                break;
            }
            result = self.receive_one(socket, len, peek);
            count += usize::from(result.is_ok());
            if result == Err(Errno::EAGAIN) && asks_for_next && !has_looked {
                has_looked = self.look_ahead(socket, count > 0);
                if has_looked {
                    continue;
                }
            }
            if result != Ok(ItemKind::Datagram) {
                break;
            }
            has_looked = false;
        }
        let is_readable = self.kernel.is_readable(socket);
        let is_over = !is_readable && self.is_over_for(position);
        if count == 0 && result == Err(Errno::EAGAIN) {
            self.waits(position);
        }
        if count > 0 && !peek {
            self.program(position).for_each(|data| data.has_answered = false);
        }
        let Some(data) = self.connections[position].data() else { return answer };
        let stays_readable = is_readable || (is_over && data.tells_end);
        let (stale_before, mut flags) = data.tokens(stays_readable, count > 0);
        if count > 0 {
            data.at_work = Some(Instant::now());
        }
        // What failed after the first message fails again.
        let result = if count > 0 { Ok(0) } else { result.map(|_| 0) };
        let count = u32::try_from(count).unwrap_or(0);
        if is_over {
            flags = flags.with(AnswerFlags::ENDED);
        }
        answer.with_result(result).with_count(count).with_state(stale_before, flags)
    }

    /// Writes one message behind the answer.
    fn receive_one(&mut self, socket: SocketId, len: usize, peek: bool) -> Result<ItemKind, Errno> {
        let head = self.answer.len();
        let room = MAX_FRAME_LEN - head - ItemHead::LEN;
        self.answer.resize(head + ItemHead::LEN + len.min(room), 0);
        let (_, buffer) = self.answer.split_at_mut(head + ItemHead::LEN);
        let received = self.kernel.receive(socket, buffer, peek);
        let (kind, datagram) = match received {
            Ok(datagram) => (ItemKind::Datagram, datagram),
            Err(Errno::ENOBUFS) => {
                (ItemKind::Overrun, Datagram { len: 0, datagram_len: 0, port_id: 0 })
            }
            Err(errno) => {
                self.answer.truncate(head);
                return Err(errno);
            }
        };
        let lens = [datagram.datagram_len, datagram.len].map(|len| u32::try_from(len).unwrap_or(0));
        let [datagram_len, len] = lens;
        let item = ItemHead { kind, port_id: datagram.port_id, datagram_len, len };
        self.answer[head..head + ItemHead::LEN].copy_from_slice(&item.to_bytes());
        self.answer.truncate(head + ItemHead::LEN + datagram.len);
        Ok(kind)
    }

    /// Hands datagrams to the kernel, as far as it takes them.
    fn send(&mut self, asked: &Asked<'_>) -> Result<Result<u32, Errno>, FrameError> {
        let Some((about, data)) =
            asked.about.and_then(|about| Some((about, self.connections[about].data()?)))
        else {
            return Ok(Err(NOT_A_SOCKET));
        };
        let socket = data.socket;
        self.program(about).for_each(|data| data.has_answered = true);
        // All of it is to make sense before any of it is done.
        Items::new(asked.rest).try_for_each(|item| item.map(|_| ()))?;
        let mut sent = 0;
        for item in Items::new(asked.rest) {
            let item = item?;
            match self.kernel.send(socket, item.port_id, item.bytes) {
                Ok(()) => sent += 1,
                Err(errno) if sent == 0 => return Ok(Err(errno)),
                Err(_) => break,
            }
        }
        Ok(Ok(sent))
    }

    fn describe(&mut self, asked: &Asked<'_>, answer: Answer) -> Answer {
        let Some(data) = asked.about.and_then(|about| self.connections[about].data()) else {
            return answer.with_result(Err(NOT_A_SOCKET));
        };
        let (socket, protocol) = (data.socket, data.protocol);
        let count = u32::try_from(protocol.number()).unwrap_or(0);
        answer.with_result(Ok(self.kernel.port_id(socket))).with_count(count)
    }

    /// What is about a socket and answered with a number.
    fn configure(
        &mut self,
        call: Call,
        asked: &Asked<'_>,
    ) -> Result<Result<u32, Errno>, FrameError> {
        let data = asked.about.and_then(|about| self.connections[about].data());
        let socket = data.as_ref().map(|data| data.socket).ok_or(NOT_A_SOCKET);
        let [first, second] = asked.arguments;
        let kernel = &mut self.kernel;
        Ok(match call {
            Call::BIND => socket.and_then(|socket| kernel.bind(socket, first)),
            Call::GET_OPTION => {
                socket.and_then(|socket| kernel.option(socket, SocketOption(first)))
            }
            Call::SET_OPTION => socket.and_then(|socket| {
                kernel.set_option(socket, SocketOption(first), second).map(|()| 0)
            }),
            Call::REARM => {
                if let Some(data) = data {
                    data.forget_token();
                }
                socket.map(|_| 0)
            }
            _ => return Err(wrong("there is no such call")),
        })
    }

    fn read_file(&mut self, asked: &Asked<'_>) -> Result<Result<u32, Errno>, FrameError> {
        let name = file_name(asked.rest)?;
        Ok(self.kernel.read_file(name).map(|contents| {
            let len = contents.len().min(MAX_FRAME_LEN - Answer::LEN);
            self.answer.extend_from_slice(&contents[..len]);
            0
        }))
    }

    fn write_file(&mut self, asked: &Asked<'_>) -> Result<Result<u32, Errno>, FrameError> {
        let len = usize::try_from(asked.arguments[0]).unwrap_or(usize::MAX);
        let (name, contents) =
            asked.rest.split_at_checked(len).ok_or_else(|| wrong("it ends before the name"))?;
        Ok(self.kernel.write_file(file_name(name)?, contents).map(|()| 0))
    }

    fn device(&mut self, asked: &Asked<'_>) -> Result<u32, Errno> {
        let device = self.kernel.device(asked.arguments[0]).ok_or(Errno::ENODEV)?;
        self.answer.extend_from_slice(&device.name.field());
        Ok(device.hw_type.0.into())
    }
}

/// The name of a file.
fn file_name(bytes: &[u8]) -> Result<&str, FrameError> {
    core::str::from_utf8(bytes).map_err(|_| wrong("the name is no UTF-8"))
}

/// The cookie is of no netlink socket of this kernel.
const NOT_A_SOCKET: Errno = Errno(libc::ENOTSOCK);
