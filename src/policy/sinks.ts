/**
 * Hosts that a lint should know: where anybody can leave data for himself (sinks), and where many tenants share one front
 * so that the name shown need not be the tenant reached (frontable, threat N11). A name stands for itself and all below
 * it. Short on purpose: places whose very purpose it is, not every site with a comment field.
 */

/** What an attacker uses it for, in words that end "…, so what a job sends there is out". */
export const sinks: ReadonlyMap<string, string> = new Map([
  ["gist.github.com", "anybody can make a gist"],
  ["gist.githubusercontent.com", "it serves anybody's gists"],
  ["pastebin.com", "anybody can paste"],
  ["paste.ee", "anybody can paste"],
  ["dpaste.com", "anybody can paste"],
  ["rentry.co", "anybody can paste"],
  ["hastebin.com", "anybody can paste"],
  ["transfer.sh", "anybody can upload files"],
  ["file.io", "anybody can upload files"],
  ["0x0.st", "anybody can upload files"],
  ["catbox.moe", "anybody can upload files"],
  ["gofile.io", "anybody can upload files"],
  ["anonfiles.com", "anybody can upload files"],
  ["webhook.site", "it shows requests to whoever made the address"],
  ["requestbin.com", "it shows requests to whoever made the address"],
  ["requestbin.net", "it shows requests to whoever made the address"],
  ["pipedream.net", "it shows requests to whoever made the address"],
  ["beeceptor.com", "it shows requests to whoever made the address"],
  ["oast.fun", "it shows requests and lookups to whoever made the address"],
  ["oast.live", "it shows requests and lookups to whoever made the address"],
  ["oastify.com", "it shows requests and lookups to whoever made the address"],
  ["burpcollaborator.net", "it shows requests and lookups to whoever made the address"],
  ["interact.sh", "it shows requests and lookups to whoever made the address"],
  ["ngrok.io", "it leads to anybody's own machine"],
  ["ngrok-free.app", "it leads to anybody's own machine"],
  ["ngrok.app", "it leads to anybody's own machine"],
  ["trycloudflare.com", "it leads to anybody's own machine"],
  ["loca.lt", "it leads to anybody's own machine"],
  ["serveo.net", "it leads to anybody's own machine"],
  ["localhost.run", "it leads to anybody's own machine"],
  ["discord.com", "anybody can make a webhook"],
  ["discordapp.com", "anybody can make a webhook"],
  ["api.telegram.org", "anybody can make a bot"],
  ["hooks.slack.com", "anybody can make a webhook"],
  ["hooks.zapier.com", "anybody can make a webhook"],
]);

/**
 * Fronts of content networks: TLS shows one tenant, the request inside may name another. Among them the public names of
 * Encrypted Client Hello, which stand outside on hellos for any tenant.
 */
export const fronts: ReadonlyMap<string, string> = new Map([
  ["cloudfront.net", "CloudFront"],
  ["azureedge.net", "Azure CDN"],
  ["azurefd.net", "Azure Front Door"],
  ["fastly.net", "Fastly"],
  ["fastlylb.net", "Fastly"],
  ["global.ssl.fastly.net", "Fastly"],
  ["akamaized.net", "Akamai"],
  ["akamaihd.net", "Akamai"],
  ["edgekey.net", "Akamai"],
  ["edgesuite.net", "Akamai"],
  ["cdn.cloudflare.net", "Cloudflare"],
  ["cloudflare-ech.com", "Cloudflare"],
  ["workers.dev", "Cloudflare Workers"],
  ["pages.dev", "Cloudflare Pages"],
  ["b-cdn.net", "Bunny"],
  ["edgecompute.app", "Fastly"],
  ["cdn77.org", "CDN77"],
  ["kxcdn.com", "KeyCDN"],
  ["gcdn.co", "Gcore"],
]);

/** The entry for `name` or for the nearest name above it; null where there is none. */
export function entryFor<T>(list: ReadonlyMap<string, T>, name: string): T | null {
  for (let at = 0; ;) {
    const entry = list.get(at === 0 ? name : name.slice(at));
    if (entry !== undefined) return entry;
    const dot = name.indexOf(".", at);
    if (dot < 0) return null;
    at = dot + 1;
  }
}
