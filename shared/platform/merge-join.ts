import type { Page, Query, Row, Table } from './table.ts'

/**
 * The pages of several queries, one query after the other: with a query a partition, in their order, the rows come in the
 * order of their keys. The first pages of `ahead` queries are read before their turn, and the next page of the one whose
 * turn it is.
 */
export async function* readAhead(table: Table, queries: Query[], ahead = 4): AsyncGenerator<Row[]> {
  const read = (query: Query, next?: string): Promise<Page> => {
    const page = table.page(query, { next })
    // The error is found when its turn comes.
    page.catch(() => {})
    return page
  }
  const first = queries.slice(0, ahead).map((query) => read(query))
  for (const [index, query] of queries.entries()) {
    let page = first.shift()
    while (page) {
      const { rows, next }: Page = await page
      page = next === undefined ? undefined : read(query, next)
      const later = queries[index + ahead]
      if (!page && later) first.push(read(later))
      yield rows
    }
  }
}

/**
 * Joins rows by row key, block by block. Every source gives rows in the order of their row keys, so that of one table it
 * is one partition at most. Each row key comes once, with the row of each source that has one.
 */
export async function* mergeJoin(
  ...sources: AsyncGenerator<Row[]>[]
): AsyncGenerator<(Row | undefined)[][]> {
  const heads = sources.map((source) => ({ source, rows: [] as Row[], at: 0, isOver: false }))
  try {
    for (;;) {
      for (const head of heads)
        while (!head.isOver && head.at === head.rows.length) {
          const { done, value } = await head.source.next()
          head.isOver = done === true
          head.rows = value ?? []
          head.at = 0
        }
      if (heads.every(({ isOver }) => isOver)) return
      const block: (Row | undefined)[][] = []
      while (heads.every(({ isOver, at, rows }) => isOver || at < rows.length)) {
        let least: string | undefined
        for (const { rows, at } of heads) {
          const key = rows[at]?.rowKey
          if (key !== undefined && (least === undefined || key < least)) least = key
        }
        if (least === undefined) break
        block.push(
          heads.map((head) =>
            head.rows[head.at]?.rowKey === least ? head.rows[head.at++] : undefined,
          ),
        )
      }
      yield block
    }
  } finally {
    for (const { source } of heads) await source.return(undefined)
  }
}
