import type { Table } from '../shared/platform/table.ts'

/** The rows of a query, read page by page: each page is one request of a test's table. */
export async function* listByPage(
  page: Table['page'],
  query: Parameters<Table['page']>[0],
): ReturnType<Table['list']> {
  let next: string | undefined
  do {
    const answer: Awaited<ReturnType<typeof page>> = await page(
      query,
      next === undefined ? {} : { next },
    )
    yield* answer.rows
    next = answer.next
  } while (next !== undefined)
}
