package survey

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

// WriteCSV writes replies for a spreadsheet: UTF-8 with BOM, CRLF, no cell that could be a formula; a line for each question of a
// message that was answered, and one for each that was not.
func (s Surveys) WriteCSV(ctx context.Context, scope tenant.Scope, q Query, which Which, lang string, w io.Writer) error {
	if _, err := io.WriteString(w, "\ufeff"); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	out.UseCRLF = true
	head := []string{"no", "number", "reference", "viewed", "answered", "item", "question", "answer"}
	if lang == "ja" {
		head = []string{"No.", "電話番号", "会員情報", "アクセス日時", "回答日時", "設問番号", "設問", "回答"}
	}
	if err := out.Write(head); err != nil {
		return err
	}
	moment := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.In(message.Tokyo).Format("2006/01/02 15:04:05")
	}
	err := s.Each(ctx, scope, q, which, ulid.ULID{}, func(r *Reply) error {
		line := []string{r.No, r.Masked, message.Cell(r.Reference), moment(r.ViewedAt), moment(r.AnsweredAt)}
		if len(r.Items) == 0 {
			return out.Write(append(line, "", "", ""))
		}
		for i, it := range r.Items {
			if err := out.Write(append(line[:5:5], strconv.Itoa(i+1), message.Cell(it.Title), message.Cell(strings.Join(it.Values, " / ")))); err != nil {
				return err
			}
		}
		return nil
	})
	out.Flush()
	return errors.Join(err, out.Error())
}
