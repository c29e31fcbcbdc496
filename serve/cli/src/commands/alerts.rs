//! The alert channels of the settings.

use ingest::Secret;
use pipelines::alerts::{Alerts, Channel, ChannelSettings, Delivery};
use warehouse::Warehouse;

use crate::settings::{AlertChannel, Settings, SettingsError, resolve_secret};

/// A configured channel, its secrets resolved. Nothing is sent.
pub(crate) fn channel(setting: &AlertChannel) -> Result<Channel, SettingsError> {
    let name = &setting.name;
    let secret = |key: &str, text: &str| {
        resolve_secret(&format!("alerts.{name}.{key}"), text).map(Secret::new)
    };
    let settings = ChannelSettings {
        name: name.clone(),
        kind: setting.kind.clone(),
        url: secret("url", &setting.url)?,
        secret: secret("secret", &setting.secret)?,
        smtp: secret("smtp", &setting.smtp)?,
        from: setting.from.clone(),
        to: setting.to.clone(),
        on: setting.on.clone(),
        pipelines: setting.pipelines.clone(),
        min_severity: setting.min_severity.clone(),
        insecure: setting.insecure,
        private: setting.private,
        ..ChannelSettings::default()
    };
    Channel::new(&settings).map_err(|error| SettingsError(error.to_string()))
}

/// The alerts of the settings; a channel that can't be used is an error.
pub(crate) fn alerts(settings: &Settings, warehouse: &Warehouse) -> anyhow::Result<Alerts> {
    let channels = settings.alerts.iter().map(channel);
    let alerts = Alerts::new(
        warehouse.meta().clone(),
        channels.collect::<Result<_, _>>()?,
        Delivery::default(),
    );
    Ok(alerts.with_links(&settings.serve.public_url))
}
