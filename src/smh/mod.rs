//! smh
