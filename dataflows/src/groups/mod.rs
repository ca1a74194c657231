//! Groups of customers (accounts, workspaces, companies): who belongs to which, what each adds up to, and what its
//! members' expressions read of it.

pub mod totals;
pub mod accounts;

pub use accounts::{Accounts, accounts};
pub use totals::Totals;
