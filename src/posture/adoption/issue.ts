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

interface Marked extends IssueSeen {
  readonly login: string;
  readonly isBot: boolean;
}

/** Those whose first line is the marker, the oldest first. */
function markedOf(list: readonly unknown[], marker: string): Marked[] {
  const found = list.flatMap((each): Marked[] => {
    const { number, body, state, user, pull_request: pull } = fieldsOf(each) ?? {};
    const { login, type } = fieldsOf(user) ?? {};
    if (typeof number !== "number" || typeof body !== "string" || (pull ?? null) !== null) return [];
    if (typeof login !== "string" || !body.startsWith(marker)) return [];
    return [{ number, body, isOpen: state !== "closed", login, isBot: type === "Bot" }];
  });
  return found.toSorted((a, b) => a.number - b.number);
}

/** Whether two logins are one: GitHub knows no case in them. */
export function isSameLogin(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Ours, the oldest first: the marker is the first line, and who wrote the issue is who asks. Anybody may copy a marker. */
export function issuesOf(list: readonly unknown[], marker: string, author: string): IssueSeen[] {
  return markedOf(list, marker)
    .filter(({ login }) => isSameLogin(login, author))
    .map(({ number, body, isOpen }) => ({ number, body, isOpen }));
}

/** Another app's issue with our marker, the oldest: most likely ours, and the author is not who we take ourselves for. */
export function issueOfOtherBot(
  list: readonly unknown[],
  marker: string,
  author: string,
): { readonly number: number; readonly login: string } | null {
  return markedOf(list, marker).find(({ login, isBot }) => isBot && !isSameLogin(login, author)) ?? null;
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
