//! The tables of the status page, as the migrations make them.

diesel::table! {
    status_spans (component, from_at) {
        component -> Text,
        state -> Text,
        from_at -> BigInt,
        until_at -> BigInt,
    }
}

diesel::table! {
    status_incidents (id) {
        id -> Text,
        title -> Text,
        state -> Text,
        components -> Text,
        began_at -> BigInt,
        ends_at -> Nullable<BigInt>,
        resolved_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    status_updates (id) {
        id -> BigInt,
        incident_id -> Text,
        at -> BigInt,
        phase -> Text,
        message -> Text,
    }
}
