//! The tables of clients that act for people, as the migrations make them.

diesel::table! {
    oauth_clients (id) {
        id -> Text,
        name -> Text,
        redirect_uris -> Text,
        secret_digest -> Nullable<Binary>,
        management_digest -> Binary,
        may_refresh -> Bool,
        created_at -> BigInt,
        secret_in_header -> Bool,
    }
}

diesel::table! {
    oauth_grants (id) {
        id -> Text,
        user_id -> Text,
        team_id -> Text,
        client_id -> Text,
        client_name -> Text,
        client_host -> Nullable<Text>,
        redirect_host -> Text,
        may_refresh -> Bool,
        scopes -> Text,
        resource -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
        calls_day -> BigInt,
        calls -> BigInt,
    }
}

diesel::table! {
    oauth_codes (digest) {
        digest -> Binary,
        user_id -> Text,
        team_id -> Text,
        client_id -> Text,
        client_name -> Text,
        client_host -> Nullable<Text>,
        redirect_host -> Text,
        may_refresh -> Bool,
        scopes -> Text,
        resource -> Text,
        redirect_uri -> Text,
        challenge -> Binary,
        created_at -> BigInt,
        grant_id -> Nullable<Text>,
    }
}

diesel::table! {
    oauth_tokens (digest) {
        digest -> Binary,
        grant_id -> Text,
        kind -> Text,
        scopes -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
        replaced_at -> Nullable<BigInt>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(oauth_clients, oauth_codes, oauth_grants, oauth_tokens);
