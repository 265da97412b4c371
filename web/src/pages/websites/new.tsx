// Adding a website. Its tag and the check that it works come at its own address.
import { post } from "../../api/client";
import { refresh } from "../../api/data";
import { readerZone } from "../../lib/format";
import { go } from "../../lib/router";
import { useOwners } from "../../lib/owners";
import { atLeast, useSession } from "../../lib/session";
import { useTeam } from "../../lib/team";
import { domain, normalDomain, optionalName } from "../../rules/fields";
import { whoMay } from "../../rules/roles";
import { NoPermission, Page } from "../../shell/page";
import { Button, Card, LinkButton } from "../../ui/basic";
import { FormFailure, Select, TextField, useForm } from "../../ui/form";
import { zoneOptions } from "../parts/zones";
import { WithTeam } from "../settings/with-team";

export default function NewWebsitePage() {
  const { teams } = useSession();
  const present = useTeam();
  const possible = teams.filter((team) => atLeast(team.role, "editor"));
  const form = useForm({
    initial: { domain: "", name: "", time_zone: readerZone(), team_id: (possible.find((team) => team.id === present?.id) ?? possible[0])?.id ?? "" },
    rules: { domain, name: optionalName },
    async submit({ domain, name, time_zone, team_id }) {
      const host = normalDomain(domain);
      const made = await post("/api/websites", { body: { team_id, domain: host, name: name.trim() || domain.trim(), time_zone } });
      refresh("/api/websites");
      go(`/websites/${made.id}`, { replace: true });
    },
  });
  const owners = useOwners(possible.length === 0 ? present?.id : undefined);
  // Whoever is in no workspace can make one.
  if (!present) return <WithTeam title="Add a website">{() => null}</WithTeam>;
  if (possible.length === 0) return <NoPermission title="Add a website" role={present.role} needs={`Websites are added by ${whoMay("change-websites")}.`} owners={owners} />;
  return (
    <Page title="Add a website" crumbs={[{ label: "Websites", href: "/websites" }]} narrow>
      <form {...form.props}>
        <Card
          title="Website"
          foot={
            <>
              <span class="grow" />
              <LinkButton href="/websites">Cancel</LinkButton>
              <Button type="submit" kind="primary" pending={form.pending}>
                Add website
              </Button>
            </>
          }
        >
          <TextField {...form.bind("domain")} label="Domain" placeholder="shop.example.com" inputMode="url" hint="Its subdomains count, too." autofocus />
          <TextField {...form.bind("name")} label="Name" placeholder={domain(form.values.domain) === undefined ? form.values.domain.trim() : "Shop"} hint="Empty: the domain." />
          <Select {...form.bind("time_zone")} label="Time zone" options={zoneOptions(form.values.time_zone)} hint="Days of this website begin at midnight there." />
          {possible.length > 1 && <Select {...form.bind("team_id")} label="Workspace" options={possible.map(({ id, name }) => ({ value: id, label: name }))} />}
          <FormFailure error={form.failure} />
        </Card>
      </form>
    </Page>
  );
}
