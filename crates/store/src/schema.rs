//! The tables, as the migrations make them.

diesel::table! {
    users (id) {
        id -> Text,
        email -> Text,
        email_folded -> Text,
        name -> Text,
        password_hash -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    teams (id) {
        id -> Text,
        name -> Text,
        plan -> Text,
        key_policy -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    memberships (team_id, user_id) {
        team_id -> Text,
        user_id -> Text,
        role -> Text,
        created_at -> BigInt,
        admits_keys_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    websites (id) {
        id -> Text,
        team_id -> Text,
        user_id -> Nullable<Text>,
        domain -> Text,
        name -> Text,
        tracking_code -> Text,
        settings -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    deleted_websites (website_id) {
        website_id -> Text,
        deleted_at -> BigInt,
        team_id -> Nullable<Text>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        digest -> Binary,
        prefix -> Text,
        name -> Text,
        user_id -> Nullable<Text>,
        team_id -> Nullable<Text>,
        scopes -> Text,
        team_ids -> Nullable<Text>,
        website_ids -> Nullable<Text>,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_usage (key_id) {
        key_id -> Text,
        month -> Integer,
        monthly_used -> BigInt,
        total_used -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_activity (key_id, hour) {
        key_id -> Text,
        hour -> BigInt,
        requests -> BigInt,
        accepted_events -> BigInt,
    }
}

diesel::table! {
    folded_strings (website_id, field, day) {
        website_id -> Text,
        field -> Text,
        day -> BigInt,
        events -> BigInt,
    }
}

diesel::table! {
    dropped_agents (website_id, reason, agent) {
        website_id -> Text,
        reason -> Text,
        agent -> Text,
        rule -> Text,
        hits -> BigInt,
        first_at -> BigInt,
        last_at -> BigInt,
    }
}

diesel::table! {
    goals (id) {
        id -> Text,
        website_id -> Text,
        name -> Text,
        target -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    funnels (id) {
        id -> Text,
        website_id -> Text,
        name -> Text,
        steps -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    shares (id) {
        id -> Text,
        website_id -> Text,
        digest -> Binary,
        name -> Text,
        password_hash -> Nullable<Text>,
        may_be_embedded -> Bool,
        created_at -> BigInt,
    }
}

diesel::table! {
    data_version (id) {
        id -> Integer,
        version -> BigInt,
    }
}

diesel::table! {
    server_clock (id) {
        id -> Integer,
        trusted_at -> Nullable<BigInt>,
        doubted_at -> Nullable<BigInt>,
        confirmed_ms -> BigInt,
    }
}

diesel::joinable!(memberships -> teams (team_id));
diesel::joinable!(memberships -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(memberships, teams, users);
