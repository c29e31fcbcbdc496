//! Describing the models: documentation from their YAML, lineage from their planned statements.

use std::collections::BTreeMap;

use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use schemas::TableName;
use sha2::{Digest, Sha256};
use warehouse::{Catalog, ColumnDoc, ModelDoc, ModelState};

use crate::{Materialization, Model, Project, Result, compile, lineage};

impl Project {
    /// Hash of all that the catalog describes.
    pub(crate) fn hash(&self, built: &BTreeMap<TableName, ModelState>) -> String {
        let mut hash = Sha256::new();
        for model in self.models() {
            hash.update([u8::from(built.contains_key(&model.name))]);
            hash.update(format!(
                "{} {} {:?}\n",
                model.name, model.definition, model.columns
            ));
            hash.update(format!(
                "{} {} {}\n",
                model.description, model.grain, model.owner
            ));
        }
        hash.update(format!("{:?}", self.metrics()));
        let hash = hash.finalize();
        hash.iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// What the models are; their statements are planned in a session that knows what they read.
    pub(crate) fn catalog<'a>(
        &'a self,
        context: &'a SessionContext,
        built: &'a BTreeMap<TableName, ModelState>,
    ) -> BoxFuture<'a, Result<Catalog>> {
        Box::pin(async move {
            let mut catalog = Catalog {
                metrics: self.metrics().to_vec(),
                ..Catalog::default()
            };
            for model in self.models() {
                // What was not selected may lack what it reads.
                if !built.contains_key(&model.name) {
                    catalog.models.insert(model.name.clone(), described(model));
                    continue;
                }
                let plan = compile::planned(model, context).await?;
                let mut origins = lineage::of(&plan, &model.reads);
                let mut doc = described(model);
                for (column, doc) in &mut doc.columns {
                    let from = origins.remove(column).unwrap_or_default();
                    doc.from = from.into_iter().collect();
                }
                catalog.models.insert(model.name.clone(), doc);
            }
            Ok(catalog)
        })
    }
}

fn described(model: &Model) -> ModelDoc {
    let columns = model.columns.iter().map(|(name, text)| {
        let doc = ColumnDoc {
            description: text.clone(),
            from: Vec::new(),
        };
        (name.clone(), doc)
    });
    let kind = match model.materialization {
        Materialization::View => "view",
        Materialization::Table => "table",
        Materialization::Incremental => "incremental",
    };
    ModelDoc {
        kind: kind.to_string(),
        description: model.description.clone(),
        grain: model.grain.clone(),
        owner: model.owner.clone(),
        file: model.file.clone(),
        sql: model.sql.clone(),
        key: model.key.clone(),
        reads: model.reads.clone(),
        columns: columns.collect(),
    }
}
