//! What can be done, to what, and what it needs: the whole policy as one table.

use zenovay_domain::{Role, Scope};

/// Something that can be done. Every route that asks who is calling names one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read what a key may do and has used.
    ReadUsage,
    /// List the websites within reach.
    ListWebsites,
    /// Read a website with its settings.
    ReadWebsite,
    /// Read the numbers of a website.
    ReadAnalytics,
    /// Read the heatmaps of a website.
    ReadHeatmaps,
    /// Read recorded sessions of a website.
    ReadReplays,
    /// Read the errors of a website.
    ReadErrors,
    /// Send events in batches.
    IngestBatch,
    /// Take the stored events of a website out, row by row.
    ExportEvents,
    /// Take what is known of identified people out with the events.
    ExportTraits,
    /// Take everything out that is stored about one visitor.
    ExportVisitor,
    /// Erase everything that is stored about one visitor.
    EraseVisitor,
    /// Add a website to a team.
    CreateWebsite,
    /// Change a website, its settings, and what belongs to it, such as goals, funnels and alerts.
    EditWebsite,
    /// Delete a website with its events.
    DeleteWebsite,
    /// Read a team with its members and invitations.
    ReadTeam,
    /// Change a team's name, settings, and who may create keys that reach it.
    EditTeam,
    /// Invite people into a team, send an invitation again, take it back.
    InviteMember,
    /// Give a member another role.
    ChangeRole,
    /// End a membership.
    RemoveMember,
    /// List, create, change and revoke keys: one's own, or those of a team.
    ManageKeys,
    /// Choose and pay a team's plan.
    ManageBilling,
    /// Hand a team over to another owner.
    TransferTeam,
    /// Delete a team with everything in it.
    DeleteTeam,
}

/// What kind of thing an action is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// The caller's own account.
    Account,
    /// A team.
    Team,
    /// A website.
    Website,
    /// An API key.
    Key,
    /// The membership of somebody in a team.
    Member,
    /// The invitation of somebody into a team.
    Invitation,
}

impl TargetKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Account, Self::Team, Self::Website, Self::Key, Self::Member, Self::Invitation];

    /// The name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Team => "team",
            Self::Website => "website",
            Self::Key => "key",
            Self::Member => "member",
            Self::Invitation => "invitation",
        }
    }
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 24] = [
        Self::ReadUsage,
        Self::ListWebsites,
        Self::ReadWebsite,
        Self::ReadAnalytics,
        Self::ReadHeatmaps,
        Self::ReadReplays,
        Self::ReadErrors,
        Self::IngestBatch,
        Self::ExportEvents,
        Self::ExportTraits,
        Self::ExportVisitor,
        Self::EraseVisitor,
        Self::CreateWebsite,
        Self::EditWebsite,
        Self::DeleteWebsite,
        Self::ReadTeam,
        Self::EditTeam,
        Self::InviteMember,
        Self::ChangeRole,
        Self::RemoveMember,
        Self::ManageKeys,
        Self::ManageBilling,
        Self::TransferTeam,
        Self::DeleteTeam,
    ];

    /// The scope that a key needs (SPEC C1, C2 row 17, E11); `None` when no key may do it, whatever its scopes: a key
    /// that leaks must not be able to make others, or to sell and delete the team.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::ReadUsage
            | Self::ListWebsites
            | Self::ReadWebsite
            | Self::ReadAnalytics
            | Self::ReadHeatmaps
            | Self::ReadReplays
            | Self::ReadErrors
            | Self::ExportEvents => Some(Scope::Read),
            Self::IngestBatch | Self::CreateWebsite | Self::EditWebsite | Self::DeleteWebsite => Some(Scope::Write),
            Self::ExportTraits
            | Self::ExportVisitor
            | Self::EraseVisitor
            | Self::ReadTeam
            | Self::EditTeam
            | Self::InviteMember
            | Self::ChangeRole
            | Self::RemoveMember => Some(Scope::Admin),
            Self::ManageKeys | Self::ManageBilling | Self::TransferTeam | Self::DeleteTeam => None,
        }
    }

    /// The role that a person needs in the team that the target belongs to (SPEC G4); stronger roles will do too.
    /// Nothing that is done to one's own account needs a role.
    pub const fn role(self) -> Role {
        match self {
            Self::ReadUsage
            | Self::ListWebsites
            | Self::ReadWebsite
            | Self::ReadAnalytics
            | Self::ReadHeatmaps
            | Self::ReadReplays
            | Self::ReadErrors
            | Self::IngestBatch
            | Self::ReadTeam => Role::Viewer,
            Self::ExportEvents | Self::CreateWebsite | Self::EditWebsite | Self::DeleteWebsite => Role::Editor,
            Self::ExportTraits
            | Self::ExportVisitor
            | Self::EraseVisitor
            | Self::EditTeam
            | Self::InviteMember
            | Self::ChangeRole
            | Self::RemoveMember
            | Self::ManageKeys => Role::Admin,
            Self::ManageBilling | Self::TransferTeam | Self::DeleteTeam => Role::Owner,
        }
    }

    /// The kinds of targets that it can be done to.
    pub const fn targets(self) -> &'static [TargetKind] {
        match self {
            Self::ReadUsage => &[TargetKind::Account],
            Self::ListWebsites => &[TargetKind::Account, TargetKind::Team],
            Self::ReadWebsite
            | Self::ReadHeatmaps
            | Self::ReadReplays
            | Self::ReadErrors
            | Self::ExportEvents
            | Self::ExportTraits
            | Self::ExportVisitor
            | Self::EraseVisitor
            | Self::EditWebsite
            | Self::DeleteWebsite => &[TargetKind::Website],
            Self::IngestBatch | Self::ReadAnalytics => &[TargetKind::Account, TargetKind::Website],
            Self::CreateWebsite
            | Self::ReadTeam
            | Self::EditTeam
            | Self::ManageBilling
            | Self::TransferTeam
            | Self::DeleteTeam => &[TargetKind::Team],
            Self::InviteMember => &[TargetKind::Invitation],
            Self::ChangeRole | Self::RemoveMember => &[TargetKind::Member],
            Self::ManageKeys => &[TargetKind::Account, TargetKind::Team, TargetKind::Key],
        }
    }
}
