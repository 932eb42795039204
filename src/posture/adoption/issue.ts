/** Which issue is ours, by its marker and its author, and what is to be done with it. Pure. */
import { fieldsOf } from "../checks/settings.ts";
import type { AdoptionReport } from "./markdown.ts";

export interface IssueSeen {
  readonly number: number;
  readonly body: string;
  readonly isOpen: boolean;
}

export type IssuePlan =
  | { readonly kind: "create" }
  | { readonly kind: "update"; readonly number: number; readonly isOpen: boolean; readonly others: readonly number[] }
  | { readonly kind: "same"; readonly number: number; readonly isOpen: boolean; readonly others: readonly number[] };

/** Ours, the oldest first: the marker is the first line, and who wrote the issue is who asks. Anybody may copy a marker. */
export function issuesOf(list: readonly unknown[], marker: string, author: string): IssueSeen[] {
  const found = list.flatMap((each): IssueSeen[] => {
    const { number, body, state, user, pull_request: pull } = fieldsOf(each) ?? {};
    const login = fieldsOf(user)?.["login"];
    if (typeof number !== "number" || typeof body !== "string" || (pull ?? null) !== null) return [];
    if (typeof login !== "string" || login.toLowerCase() !== author.toLowerCase()) return [];
    return body.startsWith(marker) ? [{ number, body, isOpen: state !== "closed" }] : [];
  });
  return found.toSorted((a, b) => a.number - b.number);
}

/** GitHub keeps line breaks as CRLF where a person edited. */
export function planIssue(found: readonly IssueSeen[], { body }: Pick<AdoptionReport, "body">): IssuePlan {
  const [first, ...more] = found;
  if (first === undefined) return { kind: "create" };
  const { number, isOpen } = first;
  const plain = (text: string) => text.replaceAll("\r\n", "\n").trimEnd();
  const kind = plain(first.body) === plain(body) ? "same" : "update";
  return { kind, number, isOpen, others: more.map((each) => each.number) };
}
