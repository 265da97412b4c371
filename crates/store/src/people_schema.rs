//! The tables of people's sign-ins, invitations and trails, as the migrations make them.

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        digest -> Binary,
        previous_digest -> Nullable<Binary>,
        stage -> Text,
        agent -> Text,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        rotated_at -> BigInt,
        confirmed_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    one_time_links (digest) {
        digest -> Binary,
        user_id -> Text,
        purpose -> Text,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    sign_in_failures (subject) {
        subject -> Binary,
        failures -> Integer,
        last_at -> BigInt,
    }
}

diesel::table! {
    second_factors (user_id) {
        user_id -> Text,
        secret -> Binary,
        enabled_at -> Nullable<BigInt>,
        last_step -> BigInt,
    }
}

diesel::table! {
    backup_codes (user_id, digest) {
        user_id -> Text,
        digest -> Binary,
    }
}

diesel::table! {
    passkeys (id) {
        id -> Text,
        user_id -> Text,
        name -> Text,
        credential_id -> Text,
        credential -> Text,
        created_at -> BigInt,
        last_used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    profiles (user_id) {
        user_id -> Text,
        locale -> Nullable<Text>,
        theme -> Text,
        time_zone -> Nullable<Text>,
        single_keys -> Integer,
    }
}

diesel::table! {
    invitations (id) {
        id -> Text,
        team_id -> Text,
        digest -> Binary,
        email -> Nullable<Text>,
        role -> Text,
        invited_by -> Text,
        key_id -> Nullable<Text>,
        created_at -> BigInt,
        expires_at -> BigInt,
    }
}

diesel::table! {
    audit_entries (id) {
        id -> BigInt,
        at -> BigInt,
        team_id -> Nullable<Text>,
        user_id -> Nullable<Text>,
        key_id -> Nullable<Text>,
        actor -> Text,
        action -> Text,
        target -> Text,
        details -> Text,
    }
}

diesel::table! {
    event_months (team_id, month) {
        team_id -> Text,
        month -> Integer,
        removed -> BigInt,
        told -> Integer,
        telling_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    key_requests (id) {
        id -> BigInt,
        key_id -> Text,
        at -> BigInt,
        method -> Text,
        route -> Text,
        status -> Integer,
        duration_ms -> BigInt,
        accepted -> Nullable<BigInt>,
        rejected -> Nullable<BigInt>,
    }
}

diesel::table! {
    assistant_questions (account, plan) {
        account -> Text,
        plan -> Text,
        day -> BigInt,
        used -> BigInt,
    }
}
