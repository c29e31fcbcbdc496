//! `all`: protocols and jobs in one process, the default for a small team.

use futures::future::BoxFuture;

use crate::Invocation;
use crate::exit::Outcome;

pub(crate) async fn run(
    arguments: super::serve::Arguments,
    invocation: Invocation,
) -> anyhow::Result<Outcome> {
    let (settings, warehouse) = super::open(&invocation).await?;
    let work = super::work::Work::new(&settings, warehouse.clone())?;
    let server = super::serve::start(arguments, warehouse, &settings).await?;
    // Boxed by type: the compiler need not look into both at once.
    let serving: BoxFuture<'_, anyhow::Result<()>> =
        Box::pin(async { Ok(server.run(super::serve::stop_signal()).await?) });
    let working: BoxFuture<'_, anyhow::Result<()>> = Box::pin(work.until_stopped());
    tokio::try_join!(serving, working)?;
    Ok(Outcome::Done)
}
