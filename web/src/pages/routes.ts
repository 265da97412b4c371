// The addresses of signing in, of settings, and of the list of websites.
import type { ComponentType } from "preact";
import type { PageProps, Route } from "../routes";

/** A page of a module that has several. */
const one =
  <Name extends string>(load: () => Promise<Readonly<Record<Name, ComponentType<PageProps>>>>, name: Name) =>
  async () => ({ default: (await load())[name] });

const login = () => import("./gate/login");
const account = () => import("./gate/account");
const reset = () => import("./gate/reset");
const members = () => import("./settings/members");
const usage = () => import("./settings/usage");

export const pageRoutes: readonly Route[] = [
  { path: "/login", load: one(login, "LoginPage"), frame: "none", open: true },
  { path: "/login/totp", load: one(login, "TotpPage"), frame: "none", open: true },
  { path: "/login/backup", load: one(login, "BackupPage"), frame: "none", open: true },
  { path: "/signup", load: one(account, "SignUpPage"), frame: "none", open: true },
  { path: "/invite/:token", load: one(account, "InvitePage"), frame: "none", open: true },
  { path: "/reset", load: one(reset, "ResetPage"), frame: "none", open: true },
  { path: "/reset/:token", load: one(reset, "NewPasswordPage"), frame: "none", open: true },
  { path: "/demo", load: () => import("./gate/demo"), frame: "none", open: true },
  { path: "/welcome", load: () => import("./gate/welcome"), frame: "none", open: true },
  { path: "/status", load: () => import("./status"), frame: "workspace", open: true },
  { path: "/websites", load: () => import("./websites/list"), frame: "workspace" },
  { path: "/websites/new", load: () => import("./websites/new"), frame: "workspace" },
  { path: "/websites/:id/settings/:part", load: () => import("./websites/settings/page"), frame: "website" },
  { path: "/settings/account", load: () => import("./settings/account"), frame: "workspace" },
  { path: "/settings/account/security", load: () => import("./settings/security"), frame: "workspace" },
  { path: "/settings/account/security/keys/:kid", load: () => import("./settings/key"), frame: "workspace" },
  { path: "/settings/workspace", load: () => import("./settings/workspace"), frame: "workspace" },
  { path: "/settings/workspace/members", load: one(members, "MembersPage"), frame: "workspace" },
  { path: "/settings/workspace/members/invitations", load: one(members, "InvitationsPage"), frame: "workspace" },
  { path: "/settings/api-keys", load: () => import("./settings/api-keys"), frame: "workspace" },
  { path: "/settings/billing", load: () => import("./settings/billing"), frame: "workspace" },
  { path: "/settings/usage", load: one(usage, "UsagePage"), frame: "workspace" },
  { path: "/settings/usage/limits", load: one(usage, "LimitsPage"), frame: "workspace" },
  { path: "/settings/server", load: () => import("./settings/server"), frame: "workspace" },
  { path: "/settings/server/activity", load: () => import("./settings/server-activity"), frame: "workspace" },
  { path: "/settings/audit", load: () => import("./settings/audit"), frame: "workspace" },
];
