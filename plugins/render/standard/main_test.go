package main

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

func TestDescribesEveryViewAndDocument(t *testing.T) {
	m := module()
	require.Equal(t, proto.Kind_RENDER, m.Describe.Kind)
	require.Len(t, m.Describe.Views, len(proto.View_name)-1)
	require.Len(t, m.Describe.Documents, len(proto.DocumentKind_name)-1)
	require.True(t, json.Valid([]byte(m.Describe.ConfigSchema)))
}

func TestRefusalsAreAnswersNotFailures(t *testing.T) {
	m := module()
	page, err := m.Render.RenderPage(t.Context(), &proto.RenderPageRequest{})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_INVALID, page.Error.Class)
	require.Empty(t, page.Html)
	doc, err := m.Render.RenderDocument(t.Context(), &proto.RenderDocumentRequest{Document: &proto.Document{Kind: 9, Created: timestamppb.New(time.Unix(0, 0)), Issuer: &proto.Issuer{Name: "x"}}})
	require.NoError(t, err)
	require.Equal(t, proto.ErrorClass_NOT_SUPPORTED, doc.Error.Class)
}

// A flood of documents waits its turn and keeps its deadlines; pages go on.
func TestDocumentsWaitForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &renderer{drawing: make(chan struct{}, 1)}
		r.drawing <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.RenderDocument(ctx, &proto.RenderDocumentRequest{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		page, err := r.RenderPage(t.Context(), &proto.RenderPageRequest{Page: &proto.Page{View: proto.View_GONE}})
		require.NoError(t, err)
		require.Nil(t, page.Error)
		<-r.drawing
		doc, err := r.RenderDocument(t.Context(), &proto.RenderDocumentRequest{})
		require.NoError(t, err)
		require.Equal(t, "document", doc.Error.Field)
		require.Empty(t, r.drawing)
	})
}
