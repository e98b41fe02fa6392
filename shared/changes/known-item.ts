import { isTerminal, type Resource } from './resource.ts'

/** What is remembered of an item: the fields that are compared. Times are text, as the service or our clock wrote them. */
export interface KnownItem {
  id: string
  state: string
  /** Raised with every event of the item. */
  version: number
  createdAt: string | null
  updatedAt: string | null
  firstSeenAt: string
  /** When its state last changed, as far as we saw. */
  changedAt: string
  overdueTold: boolean
  /** Since when the upstream answers that there is no such item. */
  missingSince: string | null
  /** A step out of a terminal state that was seen once. */
  doubted: string | null
  /** It was told to be gone; kept so that it can come back under new ids. */
  gone: 'notFound' | 'untracked' | null
}

/** Whether an item has neither come to an end nor gone. */
export const isOpen = (
  resource: Resource,
  { gone, state }: Pick<KnownItem, 'gone' | 'state'>,
): boolean => gone === null && !isTerminal(resource, state)

/** Since when an item is open: its creation, or when we first saw it where the upstream does not say. */
export const openSince = ({
  createdAt,
  firstSeenAt,
}: Pick<KnownItem, 'createdAt' | 'firstSeenAt'>): string =>
  createdAt !== null && !Number.isNaN(Date.parse(createdAt)) ? createdAt : firstSeenAt
