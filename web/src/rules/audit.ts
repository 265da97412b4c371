/** What was changed, in words. The names are those of the server's operations. */
const ACTIONS: Readonly<Record<string, string>> = {
  "account.change_password": "Password changed",
  "account.delete": "Account deleted",
  "account.edit": "Profile changed",
  "account.end_one": "Session ended",
  "account.end_others": "All other sessions ended",
  "audience.erase": "Visitor erased",
  "funnels.change": "Funnel changed",
  "funnels.create": "Funnel added",
  "funnels.delete": "Funnel removed",
  "goals.change": "Goal changed",
  "goals.create": "Goal added",
  "goals.delete": "Goal removed",
  "install.allow": "Host allowed",
  "invitations.accept": "Invitation accepted",
  "invitations.create": "Person invited",
  "invitations.take_back": "Invitation taken back",
  "keys.create_of_team": "Workspace key created",
  "keys.create_own": "Personal key created",
  "keys.edit": "Key changed",
  "keys.revoke": "Key revoked",
  "passkeys.create": "Passkey added",
  "passkeys.remove": "Passkey removed",
  "passkeys.rename": "Passkey renamed",
  "passkeys.sign_in": "Signed in with a passkey",
  "plan.choose": "Plan changed",
  "resets.ask": "Link for a new password made",
  "second_factor.disable": "Two-factor authentication turned off",
  "second_factor.enable": "Two-factor authentication turned on",
  "second_factor.renew_backup_codes": "New backup codes made",
  "shares.create": "Public link made",
  "shares.delete": "Public link ended",
  "sites.change": "Website settings changed",
  "sites.create": "Website added",
  "sites.delete": "Website deleted",
  "sites.renew_code": "New tracking code made",
  "teams.add_member": "Member added",
  "teams.change_role": "Role changed",
  "teams.create": "Workspace made",
  "teams.delete": "Workspace deleted",
  "teams.edit": "Workspace changed",
  "teams.leave": "Left the workspace",
  "teams.remove_member": "Member removed",
  "teams.transfer": "Workspace handed over",
  "users.sign_up": "Account made",
  "visitors.erase": "Visitor erased",
  "welcome.take_over": "Server set up",
};

/** An operation that has no words yet says its own name. */
export const actionWords = (action: string): string => ACTIONS[action] ?? action.replace(/[._]/g, " ");

/** `name: Studio · role: editor`; nothing for a change without details. */
export const detailWords = (details: Readonly<Record<string, unknown>>): string =>
  Object.entries(details)
    .map(([name, value]) => `${name.replace(/_/g, " ")}: ${String(value)}`)
    .join(" · ");
