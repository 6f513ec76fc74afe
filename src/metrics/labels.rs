//! The label sets. Each value comes from a small fixed set, or is the name of a key.

use prometheus_client::encoding::EncodeLabelSet;

macro_rules! labels {
    ($($name:ident { $($label:ident: $kind:ty),* })*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
            pub(super) struct $name { $(pub(super) $label: $kind),* }
        )*
    };
}

labels! {
    RequestLabels { route: &'static str, status: u16 }
    RouteLabels { route: &'static str }
    CallerLabels { caller: String }
    Disconnect { outcome: &'static str }
    Version { version: &'static str }
}
