// A request that wants a reason, asked for in a dialog.

import { Button } from "./button.js";
import { closing, openDialog, reasonField } from "./dialog.js";
import { element } from "./element.js";
import { showProblem } from "./said.js";

/**
 * Ask for it.
 * @param {string} title
 * @param {{why: string, label: string, look: string, needed: boolean}} words `needed`: there must be a reason
 * @param {function(string): Promise<void>} act given the reason
 */
export function openReasonForm(title, { why, label, look, needed }, act) {
  const reason = reasonField("ask-reason", needed ? "What became of the effects" : "Reason (optional)", needed);
  const problem = element("div", {});
  openDialog(title, (close) => {
    const go = new Button(
      label,
      async () => {
        if (needed && !reason.field.value.trim()) return showProblem(problem, new Error("Wants a reason."));
        try {
          await act(reason.field.value.trim());
          return close();
        } catch (failed) {
          return showProblem(problem, failed);
        }
      },
      look,
    );
    return [
      element("div", { class: "dialog-body" }, element("p", { class: "about" }, why), reason.element),
      problem,
      closing(close, go.element),
    ];
  });
}
