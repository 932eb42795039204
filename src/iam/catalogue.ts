/** What AWS's actions are, as far as judging needs it. The data comes from outside: this room reads nothing. */

export type AccessLevel = "Read" | "List" | "Write" | "Tagging" | "Permissions management";

export interface ActionFacts {
  /** `s3:GetObject`. */
  readonly name: string;
  readonly level: AccessLevel;
  /** Whether a policy can name the resources it may be done to. */
  readonly onResources: boolean;
}

/** Actions by service prefix: `s3`. */
export type Catalogue = ReadonlyMap<string, readonly ActionFacts[]>;
