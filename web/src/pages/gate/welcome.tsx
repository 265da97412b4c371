// The first run: the owner, the first website, and then its tag.
import { useState } from "preact/hooks";
import { ApiError, patch, post } from "../../api/client";
import { forgetAll } from "../../api/data";
import { readerZone } from "../../lib/format";
import { go, usePlace } from "../../lib/router";
import { loadSession } from "../../lib/session";
import type { PageProps } from "../../routes";
import { domain, email, newPassword, normalDomain, personName } from "../../rules/fields";
import { Button, LinkButton } from "../../ui/basic";
import { PasswordField, TextField, useForm } from "../../ui/form";
import { Redirect } from "../parts/redirect";
import { PASSWORD_HINT } from "./account";
import { Gate, Refused, useInstance } from "./gate";

/** What the link that the server printed carries behind its `#`, where no log and no proxy sees it. */
const tokenOf = (hash: string): string => hash.replace(/^#/, "");

export default function WelcomePage(_: PageProps) {
  const instance = useInstance().data;
  const [step, setStep] = useState<"owner" | "website">("owner");
  // Also when the link is put into the address of this very page, which loads nothing.
  const token = tokenOf(usePlace().hash);
  const owner = useForm({
    initial: { name: "", email: "", password: "" },
    rules: { name: personName, email, password: newPassword },
    async submit() {
      setStep("website");
    },
  });
  const create = async (first?: { domain: string; name: string }): Promise<void> => {
    const { name, email, password } = owner.values;
    try {
      const made = await post("/api/welcome", { body: { token, name: name.trim(), email: email.trim(), password, ...(first && { website: first }) } });
      forgetAll();
      await loadSession();
      // Its days begin at midnight where its owner is. A zone that the server does not know is no reason to stop here.
      if (made.website) {
        const path = { website_id: made.website.id };
        await patch("/api/websites/{website_id}", { path, body: { settings: { time_zone: readerZone() } } }).catch(() => {});
      }
      go(made.website ? `/websites/${made.website.id}` : "/websites/new", { replace: true });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // What is wrong is shown where it was typed.
      const ofOwner = error.details.find(({ field }) => field in owner.values);
      if (ofOwner) {
        setStep("owner");
        return owner.setError(ofOwner.field as keyof typeof owner.values, ofOwner.message);
      }
      const ofWebsite = error.details.find(({ field }) => field === "website.domain");
      if (ofWebsite === undefined) throw error;
      website.setError("domain", ofWebsite.message);
    }
  };
  const website = useForm({
    initial: { domain: "" },
    rules: { domain },
    submit: ({ domain }) => create({ domain: normalDomain(domain), name: domain.trim() }),
  });
  const none = useForm({ initial: {}, submit: () => create() });
  if (instance && !instance.first_run) return <Redirect to="/login" />;
  if (token === "") {
    return (
      <Gate title="Welcome">
        <div class="box">
          <h1>Welcome</h1>
          <p class="mid">
            This server is new. Open the link that it printed when it started: it has <code>/welcome#</code> and some letters in it, and shows that the server is yours. It works once, for a day.
          </p>
          <p class="mid">
            Lost it? The login and the password that were printed below it work, too. And <code>zenovay user reset-link --email owner@localhost</code> prints a link to a new password.
          </p>
          <LinkButton block href="/login">
            Sign in with the printed login
          </LinkButton>
        </div>
      </Gate>
    );
  }
  if (step === "owner") {
    return (
      <Gate title="Welcome">
        <form class="box" {...owner.props} key="owner">
          <div class="stack stack-4">
            <p class="hint">Step 1 of 2</p>
            <h1>Welcome</h1>
            <p class="mid">You become the owner of this server’s first workspace.</p>
          </div>
          <TextField {...owner.bind("name")} label="Your name" autocomplete="name" big autofocus />
          <TextField {...owner.bind("email")} label="E-mail" type="email" autocomplete="username" big />
          <PasswordField big {...owner.bind("password")} label="Password" autocomplete="new-password" hint={PASSWORD_HINT} />
          <Button type="submit" kind="primary" block pending={owner.pending}>
            Continue
          </Button>
        </form>
      </Gate>
    );
  }
  return (
    <Gate title="Your first website">
      <form class="box" {...website.props} key="website">
        <div class="stack stack-4">
          <p class="hint">Step 2 of 2</p>
          <h1>Your first website</h1>
          <p class="mid">Next you get its tag, and see the first visit arrive.</p>
        </div>
        <Refused error={website.failure ?? none.failure} />
        <TextField {...website.bind("domain")} label="Domain" placeholder="shop.example.com" inputMode="url" big autofocus hint="Its subdomains count, too." />
        <Button type="submit" kind="primary" block pending={website.pending}>
          Add website
        </Button>
        <div class="row">
          <Button kind="quiet" small onClick={() => setStep("owner")}>
            Back
          </Button>
          <span class="grow" />
          <Button kind="quiet" small pending={none.pending} onClick={() => void none.send()}>
            Skip for now
          </Button>
        </div>
      </form>
    </Gate>
  );
}
