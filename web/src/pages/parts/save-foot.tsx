import { Button } from "../../ui/basic";

/** The end of a card whose fields are saved together. */
export const SaveFoot = ({ pending }: { pending: boolean }) => (
  <>
    <span class="grow" />
    <Button type="submit" kind="primary" pending={pending}>
      Save
    </Button>
  </>
);
