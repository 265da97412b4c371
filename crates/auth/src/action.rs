//! What can be done in zenovay, to what, and what it needs: the whole policy as one table.

use zenovay_domain::{Feature, Role, Scope};

use crate::{Policy, TargetKind};

/// Makes [`Action`] of a table: a name, the scope that a key needs (`no key` when none may do it), the role that is needed
/// in the team of the target, and the kinds of targets that it can be done to. A new action is a line.
macro_rules! actions {
    (@scope no key) => { None };
    (@scope key $scope:ident) => { Some(Scope::$scope) };
    ($(
        $(#[$doc:meta])*
        $name:ident: $first:ident $second:ident, role $role:ident, on $($kind:ident)+;
    )*) => {
        /// Something that can be done. Every route that asks who is calling names one of these.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// All actions.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The scope that a key needs; `None` when no key may do it, whatever its scopes: a key that leaks must not
            /// be able to take over the account of its owner, or to give away and delete the team.
            pub const fn scope(self) -> Option<Scope> {
                match self {
                    $(Self::$name => actions!(@scope $first $second),)*
                }
            }

            /// The role that a person needs in the team that the target belongs to; stronger roles will do too. Nothing
            /// that is done to one's own account needs a role.
            pub const fn role(self) -> Role {
                match self {
                    $(Self::$name => Role::$role,)*
                }
            }

            /// The kinds of targets that it can be done to.
            pub const fn targets(self) -> &'static [TargetKind] {
                match self {
                    $(Self::$name => &[$(TargetKind::$kind,)+],)*
                }
            }
        }
    };
}

actions! {
    /// Read what a key may do and has used.
    ReadUsage: key Read, role Viewer, on Account;
    /// List the websites within reach.
    ListWebsites: key Read, role Viewer, on Account Team;
    /// Read a website with its settings.
    ReadWebsite: key Read, role Viewer, on Website;
    /// Read the numbers of a website.
    ReadAnalytics: key Read, role Viewer, on Account Website;
    /// Read the heatmaps of a website.
    ReadHeatmaps: key Read, role Viewer, on Account Website;
    /// Read the funnels of a website, and how far its visits get.
    ReadFunnels: key Read, role Viewer, on Website;
    /// Add, change and remove funnels of a website.
    EditFunnels: key Write, role Editor, on Website;
    /// Read recorded sessions of a website.
    ReadReplays: key Read, role Viewer, on Account Website;
    /// Delete a recorded session of a website.
    DeleteReplay: key Write, role Editor, on Website;
    /// Delete all recorded sessions of a website.
    DeleteReplays: key Admin, role Admin, on Website;
    /// Read the errors of a website.
    ReadErrors: key Read, role Viewer, on Account Website;
    /// Decide about the errors of a website: resolve, ignore or reopen them.
    EditErrors: key Write, role Editor, on Website;
    /// Send events in batches.
    IngestBatch: key Write, role Viewer, on Account Website;
    /// Take the stored events of a website out, row by row.
    ExportEvents: key Read, role Editor, on Website;
    /// Take what is known of identified people out with the events.
    ExportTraits: key Admin, role Admin, on Website;
    /// Take everything out that is stored about one visitor.
    ExportVisitor: key Admin, role Admin, on Website;
    /// Erase everything that is stored about one visitor.
    EraseVisitor: key Admin, role Admin, on Website;
    /// Add a website to a team.
    CreateWebsite: key Write, role Editor, on Account Team;
    /// Change a website, its settings, and what belongs to it, such as goals and public links.
    EditWebsite: key Write, role Editor, on Website;
    /// Delete a website with its events.
    DeleteWebsite: key Write, role Editor, on Website;
    /// Read a team with its members and invitations.
    ReadTeam: key Read, role Viewer, on Team;
    /// Read what people and keys changed in a team.
    ReadAudit: key Admin, role Admin, on Team;
    /// Change a team's name, settings, and who may create keys that reach it.
    EditTeam: key Admin, role Admin, on Team;
    /// Invite people into a team, send an invitation again, take it back.
    InviteMember: key Admin, role Admin, on Invitation;
    /// Give a member another role.
    ChangeRole: key Admin, role Admin, on Member;
    /// End a membership.
    RemoveMember: key Admin, role Admin, on Member;
    /// Use one's own account: sign out, change the profile, the password and the second factor, make a team, join one.
    ManageAccount: no key, role Viewer, on Account;
    /// List, create, change and revoke keys: one's own, or those of a team.
    ManageKeys: key Admin, role Admin, on Account Team Key;
    /// Choose and pay a team's plan.
    ManageBilling: key Admin, role Owner, on Team;
    /// Hand a team over to another owner.
    TransferTeam: no key, role Owner, on Team;
    /// Delete a team with everything in it.
    DeleteTeam: no key, role Owner, on Team;
    /// Write on the status page of the server, as the team that runs it.
    ManageStatus: key Admin, role Owner, on Team;
    /// Read what is wrong with the server, as the team that runs it.
    ReadDoctor: key Admin, role Admin, on Team;
}

impl Action {
    /// What the plan of the team has to include for it; `None` when every plan includes it.
    pub const fn feature(self) -> Option<Feature> {
        match self {
            Self::ReadFunnels | Self::EditFunnels => Some(Feature::Funnels),
            Self::ReadHeatmaps => Some(Feature::Heatmaps),
            Self::ReadReplays => Some(Feature::Replays),
            Self::ReadErrors | Self::EditErrors => Some(Feature::Errors),
            _ => None,
        }
    }
}

impl Policy for Action {
    fn scope(&self) -> Option<Scope> {
        (*self).scope()
    }

    fn role(&self) -> Role {
        (*self).role()
    }
}
