// Coming in for the first time: sign-up, invitations, a forgotten password.
import { post, type Answer } from "../../api/client";
import { forgetAll, useData } from "../../api/data";
import { go } from "../../lib/router";
import { loadSession, signOut, useMaybeSession, type Session } from "../../lib/session";
import type { PageProps } from "../../routes";
import { email, newPassword, personName } from "../../rules/fields";
import { roleLabel, type Role } from "../../rules/roles";
import { Button, LinkButton, Note } from "../../ui/basic";
import { PasswordField, TextField, useForm } from "../../ui/form";
import { Loaded } from "../parts/loaded";
import { Redirect } from "../parts/redirect";
import { Gate, Refused, useInstance } from "./gate";

type Invitation = Answer<"/api/invitations/{token}", "get">;

/** Everything is asked anew as the person who is signed in now. */
async function arrive(path: string): Promise<void> {
  forgetAll();
  await loadSession();
  go(path, { replace: true });
}

export const PASSWORD_HINT = "At least 12 characters. A few words are better than one word with signs.";

export function SignUpPage(_: PageProps) {
  const instance = useInstance().data;
  const form = useForm({
    initial: { name: "", email: "", password: "" },
    rules: { name: personName, email, password: newPassword },
    async submit({ name, email, password }) {
      await post("/api/users", { body: { name: name.trim(), email: email.trim(), password } });
      await arrive("/websites/new");
    },
  });
  if (instance?.first_run) return <Redirect to="/welcome" />;
  if (instance && instance.sign_up !== "open") {
    return (
      <Gate title="Sign up">
        <div class="box">
          <h1>Sign-up is by invitation here.</h1>
          <p class="mid">An owner or admin of a workspace can send you a link. It comes by mail, or however you talk to them.</p>
          <LinkButton block href="/login">
            Sign in
          </LinkButton>
        </div>
      </Gate>
    );
  }
  return (
    <Gate title="Create an account">
      <form class="box" {...form.props}>
        <h1>Create an account</h1>
        <Refused error={form.failure} />
        <TextField {...form.bind("name")} label="Your name" autocomplete="name" big autofocus />
        <TextField {...form.bind("email")} label="E-mail" type="email" autocomplete="username" big />
        <PasswordField big {...form.bind("password")} label="Password" autocomplete="new-password" hint={PASSWORD_HINT} />
        <Button type="submit" kind="primary" block pending={form.pending}>
          Create account
        </Button>
        <p class="mid">
          You have one? <a href="/login">Sign in</a>
        </p>
      </form>
    </Gate>
  );
}

export function InvitePage({ params: { token = "" } }: PageProps) {
  const invitation = useData("/api/invitations/{token}", { path: { token } });
  const user = useMaybeSession()?.user;
  if (invitation.error?.status === 404 || invitation.error?.status === 410) {
    return (
      <Gate title="Invitation">
        <div class="box">
          <h1>This invitation has ended.</h1>
          <p class="mid">It was used, taken back, or is older than 7 days. Ask for a new one.</p>
          <LinkButton block href="/">
            {user ? "Your websites" : "Sign in"}
          </LinkButton>
        </div>
      </Gate>
    );
  }
  return (
    <Gate title="Invitation">
      {invitation.data === undefined && <h1 class="vh">Invitation</h1>}
      <Loaded of={invitation} what="The invitation">
        {(found) => (user ? <Join token={token} invitation={found} user={user} /> : <SignUpByInvitation token={token} invitation={found} />)}
      </Loaded>
    </Gate>
  );
}

function Invited({ invitation }: { invitation: Invitation }) {
  return (
    <div class="stack stack-4">
      <h1>Join {invitation.team}</h1>
      <p class="mid">
        {invitation.invited_by} invites you as {roleLabel(invitation.role as Role).toLowerCase()}.
      </p>
    </div>
  );
}

function Join({ token, invitation, user }: { token: string; invitation: Invitation; user: Session["user"] }) {
  const form = useForm({
    initial: {},
    async submit() {
      await post("/api/invitations/{token}", { path: { token } });
      await arrive("/websites");
    },
  });
  const isForOther = invitation.email != null && invitation.email.toLowerCase() !== user.email.toLowerCase();
  return (
    <form class="box" {...form.props}>
      <Invited invitation={invitation} />
      {isForOther ? (
        <Note tone="warn">
          The invitation is for <b>{invitation.email}</b>, and you are signed in as <b>{user.email}</b>.
        </Note>
      ) : null}
      <Refused error={form.failure} />
      {isForOther ? null : (
        <Button type="submit" kind="primary" block pending={form.pending}>
          Join as {user.email}
        </Button>
      )}
      <Button kind="quiet" small onClick={() => void signOut()}>
        Use another account
      </Button>
    </form>
  );
}

function SignUpByInvitation({ token, invitation }: { token: string; invitation: Invitation }) {
  const form = useForm({
    initial: { name: "", email: invitation.email ?? "", password: "" },
    rules: { name: personName, email, password: newPassword },
    async submit({ name, email, password }) {
      await post("/api/users", { body: { name: name.trim(), email: email.trim(), password, invitation: token } });
      await arrive("/websites");
    },
  });
  return (
    <form class="box" {...form.props}>
      <Invited invitation={invitation} />
      <Refused error={form.failure} />
      <TextField {...form.bind("name")} label="Your name" autocomplete="name" big autofocus />
      <TextField
        {...form.bind("email")}
        label="E-mail"
        type="email"
        autocomplete="username"
        big
        readOnly={invitation.email != null}
        hint={invitation.email == null ? undefined : "The invitation is for this address."}
      />
      <PasswordField big {...form.bind("password")} label="Password" autocomplete="new-password" hint={PASSWORD_HINT} />
      <Button type="submit" kind="primary" block pending={form.pending}>
        Create account and join
      </Button>
      <p class="mid">
        You have an account? <a href={`/login?next=${encodeURIComponent(location.pathname)}`}>Sign in</a>
      </p>
    </form>
  );
}
