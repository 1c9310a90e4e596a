//! Which of the two modules are loaded: [`IpQueues`].

use ipq_proto::Family;

use super::IpQueue;

/// `ip_queue` and `ip6_queue`.
#[derive(Debug)]
pub(crate) struct IpQueues {
    /// IPv4, then IPv6.
    modules: [Module; 2],
    seed: u64,
    word_len: usize,
}

#[derive(Debug)]
struct Module {
    loaded: Option<IpQueue>,
    /// Whether it is loaded when a program opens a socket to it.
    on_demand: bool,
    /// Whether nothing stands in the way of that: the handler of a family is one only.
    may_load: bool,
}

impl IpQueues {
    /// Both, loaded when they are needed.
    pub(crate) fn new(seed: u64, word_len: usize) -> Self {
        let module = || Module { loaded: None, on_demand: true, may_load: true };
        Self { modules: [module(), module()], seed, word_len }
    }

    /// The module of `family`, if it is loaded.
    pub(crate) fn loaded(&mut self, family: Family) -> Option<&mut IpQueue> {
        self.modules[slot(family)].loaded.as_mut()
    }

    /// The modules that are loaded.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &IpQueue> {
        self.modules.iter().filter_map(|module| module.loaded.as_ref())
    }

    /// Loads the module of `family`, if it is not loaded.
    pub(crate) fn load(&mut self, family: Family) {
        // Each family has ids of its own place, so that mixing them up shows. The upper bits of the product depend
        // on all of the seed.
        let seed = self.seed.wrapping_mul(2).wrapping_add(1 + slot(family) as u64);
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let module = &mut self.modules[slot(family)];
        module.loaded.get_or_insert_with(|| IpQueue::new(family, seed, self.word_len));
    }

    /// Loads the module of `family` for a program that opens a socket to it, if that can be; says whether it is loaded.
    pub(crate) fn demand(&mut self, family: Family) -> bool {
        let module = &self.modules[slot(family)];
        if module.on_demand && module.may_load {
            self.load(family);
        }
        self.loaded(family).is_some()
    }

    /// Says whether the module of `family` may be loaded on demand.
    pub(crate) fn let_load(&mut self, family: Family, may_load: bool) {
        self.modules[slot(family)].may_load = may_load;
    }

    /// Takes the module of `family` out of the kernel, for good unless it is [loaded](Self::load) again.
    pub(crate) fn unload(&mut self, family: Family) -> Option<IpQueue> {
        let module = &mut self.modules[slot(family)];
        module.on_demand = false;
        module.loaded.take()
    }
}

/// Where the module of `family` is kept.
const fn slot(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}
