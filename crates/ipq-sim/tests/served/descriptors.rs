//! Copies of a descriptor: the socket lives as long as any of them, in whatever process.
