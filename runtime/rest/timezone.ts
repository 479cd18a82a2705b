/** The machine's time zone as `/config` shows it: `Coordinated Universal Time` and its offset in ms. */
export function timezone(nowMs: number): { readonly name: string; readonly offsetMs: number } {
  const part = (style: 'long' | 'longOffset') =>
    new Intl.DateTimeFormat('en-US', { timeZoneName: style }).formatToParts(nowMs).find(piece => piece.type === 'timeZoneName')?.value ?? ''
  const match = /^GMT(?:([+-])(\d{2}):(\d{2}))?/.exec(part('longOffset'))
  const minutes = Number(match?.[2] ?? 0) * 60 + Number(match?.[3] ?? 0)
  return { name: part('long'), offsetMs: (match?.[1] === '-' ? -1 : 1) * minutes * 60_000 }
}
