import { IndexedRandom } from './hash.ts'

/**
 * Events of an online auction as JSON lines, with the fields, proportions and skews of the Nexmark benchmark: of 50 events in a row the
 * first is a person, the next three are auctions, the rest are bids. Half of the bids go to the latest "hot" auction, three quarters
 * come from the latest "hot" bidder, half name one of four channels. An event is a function of its number alone.
 *
 * Event time starts at `START_MS` and goes on by 1 s every `EVENTS_PER_SECOND` events, never backwards.
 */
export const EVENTS_PER_SECOND = 10_000
export const START_MS = Date.UTC(2026, 0, 1)
export const FIRST_PERSON_ID = 1000
export const FIRST_AUCTION_ID = 1000
const PERSONS = 1
const AUCTIONS = 3
const EVENTS = 50
const FIRST_CATEGORY_ID = 10
const CATEGORIES = 5
const ACTIVE_PERSONS = 1000
const PERSON_LEAD = 10
const IN_FLIGHT_AUCTIONS = 100
const AUCTION_LEAD = 10
/** Every so-manieth id is the hot one for a while. */
const HOT_EVERY = 100
const HOT_AUCTION_RATIO = 2
const HOT_BIDDER_RATIO = 4
const HOT_SELLER_RATIO = 4
const HOT_CHANNEL_RATIO = 2
const CHANNELS = 10_000
const SEED = 7

const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']
const CITIES = ['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne']
const FIRST_NAMES = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
const LAST_NAMES = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
const HOT_CHANNELS = ['Google', 'Facebook', 'Baidu', 'Apple']

export interface Person {
  readonly id: number
  readonly name: string
  readonly emailAddress: string
  readonly creditCard: string
  readonly city: string
  readonly state: string
  readonly dateTime: string
  readonly extra: string
}

export interface Auction {
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: string
  readonly expires: string
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid {
  readonly auction: number
  readonly bidder: number
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly dateTime: string
  readonly extra: string
}

/** As Nexmark's table has it: one row type for all three, with the other two null. */
export type NexmarkEvent =
  | { readonly event_type: 0; readonly person: Person; readonly auction: null; readonly bid: null }
  | { readonly event_type: 1; readonly person: null; readonly auction: Auction; readonly bid: null }
  | { readonly event_type: 2; readonly person: null; readonly auction: null; readonly bid: Bid }

/** Chunks of whole lines, about 1 MiB each. */
export function* nexmarkLines(count: number): Generator<Uint8Array> {
  const generator = new NexmarkGenerator()
  let text = ''
  for (let number = 0; number < count; number++) {
    text += `${JSON.stringify(generator.event(number))}\n`
    if (text.length > 2 ** 20) {
      yield Buffer.from(text)
      text = ''
    }
  }
  if (text !== '') yield Buffer.from(text)
}

export class NexmarkGenerator {
  private readonly random = new IndexedRandom(SEED)
  private readonly urls = Array.from({ length: CHANNELS }, (_, channel) => this.channelUrl(channel))
  private readonly hotUrls = HOT_CHANNELS.map((_, index) => this.baseUrl(CHANNELS + index))

  event(number: number): NexmarkEvent {
    this.random.at(number)
    const offset = number % EVENTS
    if (offset < PERSONS) return { event_type: 0, person: this.person(number), auction: null, bid: null }
    if (offset < PERSONS + AUCTIONS) return { event_type: 1, person: null, auction: this.auction(number), bid: null }
    return { event_type: 2, person: null, auction: null, bid: this.bid(number) }
  }

  private person(number: number): Person {
    const { random } = this
    const id = FIRST_PERSON_ID + lastPerson(number)
    const name = `${pick(random, FIRST_NAMES)} ${pick(random, LAST_NAMES)}`
    const emailAddress = `${this.text(7)}@${this.text(5)}.com`
    const creditCard = Array.from({ length: 4 }, () => String(random.below(10_000)).padStart(4, '0')).join(' ')
    const city = pick(random, CITIES)
    const state = pick(random, STATES)
    const known = 8 + name.length + emailAddress.length + creditCard.length + city.length + state.length
    return { id, name, emailAddress, creditCard, city, state, dateTime: timeOf(number), extra: this.extra(known, 200) }
  }

  private auction(number: number): Auction {
    const { random } = this
    const id = FIRST_AUCTION_ID + lastAuction(number)
    const itemName = this.text(20)
    const description = this.text(100)
    const initialBid = this.price()
    const reserve = initialBid + this.price()
    const seller = FIRST_PERSON_ID + (random.below(HOT_SELLER_RATIO) > 0 ? hot(lastPerson(number)) : this.activePerson(number))
    const category = FIRST_CATEGORY_ID + random.below(CATEGORIES)
    const expires = textOfTime(msOf(number) + 1 + random.below(2 * auctionLengthMs()))
    return {
      id,
      itemName,
      description,
      initialBid,
      reserve,
      dateTime: timeOf(number),
      expires,
      seller,
      category,
      extra: this.extra(8 + itemName.length + description.length + 40, 500),
    }
  }

  private bid(number: number): Bid {
    const { random } = this
    const auction = random.below(HOT_AUCTION_RATIO) > 0 ? hot(lastAuction(number)) : this.openAuction(number)
    // One beside the hot seller, so that nobody bids on what he sells.
    const bidder = random.below(HOT_BIDDER_RATIO) > 0 ? hot(lastPerson(number)) + 1 : this.activePerson(number)
    const price = this.price()
    const isHot = random.below(HOT_CHANNEL_RATIO) > 0
    const index = random.below(isHot ? HOT_CHANNELS.length : CHANNELS)
    const channel = isHot ? (HOT_CHANNELS[index] as string) : `channel-${index}`
    const url = (isHot ? this.hotUrls[index] : this.urls[index]) as string
    return {
      auction: FIRST_AUCTION_ID + auction,
      bidder: FIRST_PERSON_ID + bidder,
      price,
      channel,
      url,
      dateTime: timeOf(number),
      extra: this.extra(32 + channel.length + url.length, 100),
    }
  }

  private activePerson(number: number): number {
    const last = lastPerson(number)
    const active = Math.min(last + 1, ACTIVE_PERSONS)
    return last + 1 - active + this.random.below(active + PERSON_LEAD)
  }

  private openAuction(number: number): number {
    const last = lastAuction(number)
    const first = Math.max(0, last - IN_FLIGHT_AUCTIONS)
    return first + this.random.below(last - first + 1 + AUCTION_LEAD)
  }

  /** From 1 cent-unit hundred to a hundred million, evenly over the orders of magnitude. */
  private price(): number {
    return Math.round(10 ** (this.random.fraction() * 6) * 100)
  }

  private text(lengthMax: number): string {
    const { random } = this
    let text = ''
    for (let length = 3 + random.below(Math.max(1, lengthMax - 3)); length > 0; length--) {
      text += random.below(13) === 0 ? ' ' : String.fromCharCode(97 + random.below(26))
    }
    return text.trim()
  }

  /** Fills an event up to about `wanted` bytes, 20 % more or less. */
  private extra(known: number, wanted: number): string {
    if (known >= wanted) return ''
    const missing = wanted - known
    const spread = Math.round(missing * 0.2)
    const length = missing - spread + this.random.below(2 * spread + 1)
    let text = ''
    for (let i = 0; i < length; i++) text += String.fromCharCode(97 + this.random.below(26))
    return text
  }

  private baseUrl(index: number): string {
    this.random.at(-1 - index)
    const part = () => Array.from({ length: 3 + this.random.below(3) }, () => String.fromCharCode(97 + this.random.below(26))).join('')
    return `https://www.nexmark.com/${part()}/${part()}/${part()}/item.htm?query=1`
  }

  /** Nine of ten channels have their number in the address. */
  private channelUrl(channel: number): string {
    const url = this.baseUrl(channel)
    return this.random.below(10) > 0 ? `${url}&channel_id=${channel}` : url
  }
}

/** Persons so far, less one: the number of the newest one at this event. */
function lastPerson(number: number): number {
  return Math.floor(number / EVENTS) * PERSONS + Math.min(number % EVENTS, PERSONS - 1)
}

function lastAuction(number: number): number {
  const offset = number % EVENTS
  const epoch = Math.floor(number / EVENTS)
  // Before the first auction of its epoch an event sees the last one of the epoch before; the very first events see auction 0.
  if (offset < PERSONS) return Math.max(0, epoch * AUCTIONS - 1)
  return epoch * AUCTIONS + Math.min(offset - PERSONS, AUCTIONS - 1)
}

function hot(last: number): number {
  return Math.floor(last / HOT_EVERY) * HOT_EVERY
}

/** Long enough for `IN_FLIGHT_AUCTIONS` to be open at once on average. */
function auctionLengthMs(): number {
  return Math.ceil((IN_FLIGHT_AUCTIONS * EVENTS * 1000) / (AUCTIONS * EVENTS_PER_SECOND))
}

function msOf(number: number): number {
  return START_MS + Math.floor((number * 1000) / EVENTS_PER_SECOND)
}

/** The JSON format's default form of a timestamp, `2026-01-01 00:00:00.123`. */
function textOfTime(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, -1)
}

let cachedMs = -1
let cachedText = ''
/** Ten events in a row share one. */
function timeOf(number: number): string {
  const ms = msOf(number)
  if (ms !== cachedMs) {
    cachedMs = ms
    cachedText = textOfTime(ms)
  }
  return cachedText
}

function pick(random: IndexedRandom, texts: readonly string[]): string {
  return texts[random.below(texts.length)] as string
}
