//! What admins can ask for in a chat and only the composition root can do.

use async_trait::async_trait;

/// Operates the process that the service runs in.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Reads the config again; the new version and what waits for a restart.
    ///
    /// # Errors
    /// The problems, one a line; the old config stays in force.
    async fn reload(&self) -> Result<(u64, Vec<String>), String>;

    /// Lines about the process for `/status`: version, uptime, accounts.
    fn status(&self) -> Vec<String>;
}
