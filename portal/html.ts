import htm from 'htm'
import { type ComponentChild, type FunctionComponent, h, type VNode } from 'preact'

export type View = VNode
/** What may stand between two tags. */
export type Content = ComponentChild | Content[]

/** Markup as virtual nodes: what is put into it is always text, never markup. */
export const html = htm.bind(h) as (strings: TemplateStringsArray, ...values: unknown[]) => View

/** A component with its properties, which the compiler checks. Another `key` makes a new one. */
export const part = <Props extends object>(
  component: (props: Props) => View,
  props: NoInfer<Props> & { key?: string },
): View => h(component as FunctionComponent, props)
