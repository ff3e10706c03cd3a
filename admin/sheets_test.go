package admin

import (
	"archive/zip"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/store"
	"github.com/kakitome/kakitome/engine/tenant"
)

func TestSheetsOfAnUploadInOneFile(t *testing.T) {
	r := openRoom(t)
	st := r.upload("mizu", "bills.csv", "電話番号,本文,タイトル,種別,請求番号,請求金額,支払期限\n09000010001,{url},ご請求,請求,Z-9,100,2030/12/31\n09000010002,{url},ご請求,請求,A-1,200,2030/12/31\n09000010003,{url},再送,請求,Z-9,100,2030/12/31\n09000010004,{url},お知らせ,お知らせ,,,\n")
	require.Equal(t, int64(4), st.Good)
	b := r.enter("admin@mizu")
	at := "/uploads/" + st.ID.String()
	b.get(at)
	require.Equal(t, http.StatusSeeOther, b.post(at+"/release").status)
	r.reach("mizu", st.ID.String(), campaign.Done)
	require.Contains(t, b.get(at).body, "支払シートをまとめて印刷")
	names := func(method string) (all []string) {
		t.Helper()
		a := b.post(at+"/sheets", "method", method)
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.Equal(t, "application/zip", a.header.Get("Content-Type"))
		z, err := zip.NewReader(strings.NewReader(a.body), int64(len(a.body)))
		require.NoError(t, err)
		for _, f := range z.File {
			all = append(all, f.Name)
		}
		return all
	}
	require.Equal(t, []string{"faults.csv"}, names(""))
	require.Equal(t, []string{"00001_A-1.pdf", "00002_Z-9.pdf"}, names("konbini_barcode"), "a claim has one sheet, in the order of numbers")
	require.Equal(t, []string{"00001_A-1.pdf", "00002_Z-9.pdf"}, names(""))
	require.Equal(t, "upload.sheets", r.actions("mizu")[0])
	refs, err := r.Store.Search(t.Context(), tenant.Only("mizu"), store.Query{Kind: store.Claim, Limit: 10})
	require.NoError(t, err)
	require.Len(t, refs, 2)

	require.Equal(t, http.StatusNotFound, r.enter("admin@gasu").post(at+"/sheets").status)
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").post(at+"/sheets").status)
	plain := r.upload("mizu", "plain.csv", "電話番号,本文\n09000010009,断水のお知らせ\n")
	require.Contains(t, b.get(b.post("/uploads/"+plain.ID.String()+"/sheets").header.Get("Location")).body, "このアップロードには請求がありません")
}
