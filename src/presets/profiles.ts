/**
 * Four policies to start a runner from, made of presets: `profiles/*.yaml`, written by `npm run docs` for a machine where nothing
 * is configured. What a machine's own configuration names, `sallyport policy preset` puts in its place.
 */
import { isMakeDefect, makePreset } from "./make.ts";
import { writePresets } from "./write.ts";

/** The presets of each profile. */
export const profiles: Readonly<Record<string, { readonly what: string; readonly presets: readonly string[] }>> = {
  minimal: { what: "a runner that checks out and reports, and nothing else", presets: ["github-actions"] },
  python: { what: "a runner that builds Python", presets: ["github-actions", "pypi"] },
  node: { what: "a runner that builds with Node", presets: ["github-actions", "npm"] },
  docker: { what: "a runner that builds and pulls images", presets: ["github-actions", "docker", "ghcr"] },
};

/** The file of a profile. */
export function profileText(name: string): string {
  const { what, presets } = profiles[name]!;
  return writePresets(
    presets.flatMap((preset) => {
      const made = makePreset(preset, null);
      return isMakeDefect(made) ? [] : [made];
    }),
    [
      `Profile ${name}: ${what}. Generated: do not edit; copy it.`,
      `With your own mirrors and registries in it: sallyport policy preset ${presets.join(" ")}`,
    ],
  );
}
