//! Clients that lie: each loses its connection, and nobody else notices.
