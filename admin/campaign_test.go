package admin

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
)

const twoCarriersCSV = "to,text,reference\n090-0001-0201,〇〇県水道局です。断水のお知らせ,D-1\n090-0001-0202,〇〇県水道局です。断水のお知らせ,D-2\n090-0002-0203,〇〇県水道局です。断水のお知らせ,D-3\n"

// until waits for the upload to be as wanted.
func (r *room) until(id ulid.ULID, so func(*campaign.State) bool) *campaign.State {
	r.t.Helper()
	changed, stop := r.Campaigns.Watch(id)
	defer stop()
	limit := time.After(time.Minute)
	for {
		st, err := r.Campaigns.State(context.Background(), tenant.Only("mizu"), id)
		require.NoError(r.t, err)
		if so(st) {
			return st
		}
		select {
		case <-changed:
		case <-limit:
			require.FailNow(r.t, "the upload stays so", "%+v", st)
		}
	}
}

func at(p campaign.Phase) func(*campaign.State) bool {
	return func(st *campaign.State) bool { return st.Phase == p }
}

// probing is an upload whose seeds of docomo and au are under way.
func (r *room) probing(name, csv string) *campaign.State {
	r.t.Helper()
	ctx := context.Background()
	require.NoError(r.t, r.Campaigns.SetSeed(ctx, "mizu", "docomo", "090-0001-9001"))
	require.NoError(r.t, r.Campaigns.SetSeed(ctx, "mizu", "au", "090-0002-9002"))
	st := r.upload("mizu", name, csv)
	_, err := r.Campaigns.Release(ctx, tenant.Only("mizu"), st.ID, campaign.Release{By: "user:sender@mizu", Canary: true, GoodOnly: true, Again: true})
	require.NoError(r.t, err)
	return r.until(st.ID, func(st *campaign.State) bool { return st.Canary.Seeds != nil })
}

// seedsEnd lets all seeds of an upload arrive but those of the carriers in lost; only those of some, where they are named.
func (r *room) seedsEnd(st *campaign.State, lost []string, only ...string) {
	r.t.Helper()
	for _, seed := range st.Canary.Seeds {
		if len(only) > 0 && !slices.Contains(only, seed.Carrier) {
			continue
		}
		part := message.Submission{Part: 1, Attempt: 1, Carrier: seed.Carrier}
		end := event(message.Delivered, message.Report{Part: 1, Carrier: seed.Carrier, State: "DELIVRD"})
		if slices.Contains(lost, seed.Carrier) {
			end = event(message.Undelivered, message.Report{Part: 1, Carrier: seed.Carrier, State: "UNDELIV"})
		}
		r.happen("mizu", seed.Message, event(message.Submitting, part), event(message.Submitted, part), end)
	}
}

// stopped is an upload whose seed of au did not arrive.
func (r *room) stopped(name, csv string) *campaign.State {
	r.t.Helper()
	st := r.probing(name, csv)
	r.seedsEnd(st, []string{"au"})
	return r.until(st.ID, at(campaign.Stopped))
}

func TestStoppedCanaryIsDecidedWithOneButton(t *testing.T) {
	r := openRoom(t)
	st := r.stopped("断水のお知らせ.csv", twoCarriersCSV)
	path := "/uploads/" + st.ID.String()
	viewer, sender := r.enter("viewer@mizu"), r.enter("sender@mizu")
	body := viewer.get(path).body
	require.Contains(t, body, "カナリア送信で停止しました")
	require.NotContains(t, body, path+"/drop-carrier")
	require.Equal(t, http.StatusForbidden, viewer.post(path+"/continue").status)
	body = sender.get(path).body
	for _, want := range []string{"auを除いて送信", "このまますべて送信", "一括送信を取り消す"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "9001")
	require.Equal(t, http.StatusForbidden, viewer.post(path+"/retry-canary").status)
	require.Equal(t, http.StatusSeeOther, sender.post(path+"/retry-canary").status)
	require.Equal(t, "upload.retry_canary", r.actions("mizu")[0])
	st = r.until(st.ID, func(now *campaign.State) bool {
		return now.Canary.Seeds[0].Message != st.Canary.Seeds[0].Message && !now.Canary.Seeds[0].Message.IsZero()
	})
	require.Contains(t, viewer.get(path).body, "カナリア送信中")
	r.seedsEnd(st, []string{"au"}, "au")
	st = r.until(st.ID, at(campaign.Stopped))
	require.Contains(t, sender.get(path).body, "これまでに1回、もう一度試しています")
	require.Equal(t, http.StatusNotFound, r.enter("sender@gasu").post(path+"/drop-carrier", "carrier", "au").status)
	require.Equal(t, http.StatusSeeOther, sender.post(path+"/drop-carrier", "carrier", "au").status)
	require.Equal(t, "upload.drop_carrier", r.actions("mizu")[0])
	r.until(st.ID, func(st *campaign.State) bool { return st.Sweep != nil && st.Sweep.Over })
	body = sender.get(path).body
	require.Contains(t, body, "sender@mizuが除外")
	require.Contains(t, sender.get("/messages?campaign="+st.ID.String()).body, "送信取消")
}

func TestPausingResumingAndCancelingSayWhoAndWhen(t *testing.T) {
	r := openRoom(t)
	st := r.upload("mizu", "断水のお知らせ.csv", twoCarriersCSV)
	path := "/uploads/" + st.ID.String()
	sender, viewer := r.enter("sender@mizu"), r.enter("viewer@mizu")
	require.Contains(t, sender.get(path).body, "NTTドコモ・auのテスト番号の登録が必要です")
	refused := sender.post(path+"/release", "canary", "1")
	require.Equal(t, http.StatusSeeOther, refused.status)
	require.Contains(t, sender.get(refused.header.Get("Location")).body, "カナリア送信を開始できません", "there is no seed")
	require.Equal(t, http.StatusSeeOther, sender.post(path+"/release").status)
	r.until(st.ID, at(campaign.Done))
	for _, do := range []string{"pause", "resume", "cancel", "drop-carrier"} {
		require.Equal(t, http.StatusForbidden, viewer.post(path+"/"+do).status)
	}
	sender.post(path + "/pause")
	require.Contains(t, viewer.get(path).body, "sender@mizuが一時停止しました")
	require.Contains(t, viewer.get("/uploads").body, "一時停止中")
	require.Contains(t, sender.get(path).body, "送信を再開")
	sender.post(path + "/resume")
	require.NotContains(t, viewer.get(path).body, "一時停止しました")
	sender.post(path+"/cancel", "reason", "文面の<誤り>")
	r.until(st.ID, at(campaign.Canceled))
	body := viewer.get(path).body
	require.Contains(t, body, "sender@mizuが取り消しました。（理由：文面の&lt;誤り&gt;）")
	require.Contains(t, body, "取消 3件")
	require.Equal(t, []string{"upload.cancel", "upload.resume", "upload.pause"}, r.actions("mizu")[:3])
	found, err := r.Campaigns.List(t.Context(), tenant.Only("mizu"), ulid.ULID{}, 1)
	require.NoError(t, err)
	require.Equal(t, "user:sender@mizu", found[0].Canceled.By)
}

func TestSeedNumbersAreSetByAdministrators(t *testing.T) {
	r := openRoom(t)
	b := r.enter("admin@mizu")
	require.Equal(t, http.StatusForbidden, r.enter("sender@mizu").get("/seeds").status)
	require.Equal(t, http.StatusUnprocessableEntity, b.post("/seeds", "carrier", "docomo", "number", "090-0002-0001").status, "a number of au")
	require.Equal(t, http.StatusNotFound, b.post("/seeds", "carrier", "x", "number", "090-0002-0001").status)
	require.Equal(t, http.StatusSeeOther, b.post("/seeds", "carrier", "docomo", "number", "090-0001-9001").status)
	require.Equal(t, "seed.set", r.actions("mizu")[0])
	body := b.get("/seeds").body
	require.Contains(t, body, "090-****-9001")
	require.NotContains(t, body, "0001-9001")
	require.NotContains(t, r.enter("admin@gasu").get("/seeds").body, "9001")
	require.Equal(t, http.StatusSeeOther, b.post("/seeds", "carrier", "docomo", "do", "remove").status)
	require.NotContains(t, b.get("/seeds").body, "9001")
	require.Equal(t, "seed.remove", r.actions("mizu")[0])
}
