"""The first schema: records, attempts, history, conductors, the sql board; indexes that TaskFlow lacks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table('conductors',
    sa.Column('owner', sa.String(length=255), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('host', sa.String(length=255), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('slots', sa.Integer(), nullable=False),
    sa.Column('flows', sa.JSON(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('owner')
    )
    op.create_table('jobs',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('flow', sa.String(length=255), nullable=False),
    sa.Column('arguments', sa.JSON(), nullable=False),
    sa.Column('masked', sa.JSON(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('key', sa.String(length=255), nullable=True),
    sa.Column('priority', sa.SmallInteger(), nullable=False),
    sa.Column('posted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('begun', sa.Boolean(), nullable=False),
    sa.Column('kept', sa.Boolean(), nullable=False),
    sa.Column('ran_s', sa.Float(), nullable=False),
    sa.Column('progress', sa.Float(), nullable=False),
    sa.Column('timeout_s', sa.Float(), nullable=True),
    sa.Column('max_retries', sa.Integer(), nullable=False),
    sa.Column('retry_interval_s', sa.Float(), nullable=False),
    sa.Column('retries_left', sa.Integer(), nullable=False),
    sa.Column('max_running', sa.Integer(), nullable=True),
    sa.Column('on_failure', sa.String(length=8), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('claims', sa.Integer(), nullable=False),
    sa.Column('conductor', sa.String(length=255), nullable=True),
    sa.Column('owner', sa.String(length=255), nullable=True),
    sa.Column('posting', sa.String(length=36), nullable=True),
    sa.Column('cancel_requested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancel_by', sa.String(length=255), nullable=True),
    sa.Column('cancel_reason', sa.Text(), nullable=True),
    sa.Column('cancel_delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancel_stopped_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleting', sa.Boolean(), nullable=False),
    sa.Column('cleanup', sa.Boolean(), nullable=False),
    sa.Column('results', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('tasks', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('jobs_finished', 'jobs', ['finished_at'], unique=False)
    op.create_index('jobs_flow', 'jobs', ['flow', 'id'], unique=False)
    op.create_index('jobs_flow_state', 'jobs', ['flow', 'state', 'id'], unique=False)
    op.create_index('jobs_key', 'jobs', ['key'], unique=True, postgresql_where=sa.text("key IS NOT NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'revert_failed'))"), sqlite_where=sa.text("key IS NOT NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'revert_failed'))"))
    op.create_index('jobs_owner', 'jobs', ['owner'], unique=False, postgresql_where=sa.text('owner IS NOT NULL'), sqlite_where=sa.text('owner IS NOT NULL'))
    op.create_index('jobs_state', 'jobs', ['state', 'id'], unique=False)
    op.create_index('jobs_unposted', 'jobs', ['priority', 'due_at', 'id'], unique=False, postgresql_where=sa.text("posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"), sqlite_where=sa.text("posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"))
    op.create_table('postings',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('uuid', sa.String(length=36), nullable=False),
    sa.Column('board', sa.String(length=255), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('job', sa.String(length=26), nullable=True),
    sa.Column('priority', sa.SmallInteger(), nullable=False),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('book', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('modified_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('session', sa.String(length=36), nullable=True),
    sa.Column('owner', sa.String(length=255), nullable=True),
    sa.Column('trashed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('seq'),
    sa.UniqueConstraint('uuid'),
    sqlite_autoincrement=True
    )
    op.create_index('postings_free', 'postings', ['board', 'priority', 'seq'], unique=False, postgresql_where=sa.text('session IS NULL AND trashed_at IS NULL'), sqlite_where=sa.text('session IS NULL AND trashed_at IS NULL'))
    op.create_index('postings_held', 'postings', ['session'], unique=False, postgresql_where=sa.text('session IS NOT NULL'), sqlite_where=sa.text('session IS NOT NULL'))
    op.create_index('postings_job', 'postings', ['job'], unique=False)
    op.create_table('sessions',
    sa.Column('id', sa.String(length=36), nullable=False),
    sa.Column('entity', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('sessions_expires', 'sessions', ['expires_at'], unique=False)
    op.create_table('attempts',
    sa.Column('job', sa.String(length=26), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('arguments', sa.JSON(), nullable=False),
    sa.Column('flow_detail', sa.String(length=36), nullable=True),
    sa.Column('fingerprint', sa.String(length=64), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('outcome', sa.String(length=16), nullable=True),
    sa.Column('error', sa.JSON(none_as_null=True), nullable=True),
    sa.ForeignKeyConstraint(['job'], ['jobs.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job', 'number')
    )
    op.create_table('events',
    sa.Column('seq', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('job', sa.String(length=26), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('task', sa.String(length=255), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=True),
    sa.Column('by', sa.String(length=255), nullable=True),
    sa.Column('message', sa.Text(), nullable=True),
    sa.Column('data', sa.JSON(none_as_null=True), nullable=True),
    sa.ForeignKeyConstraint(['job'], ['jobs.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('seq'),
    sqlite_autoincrement=True
    )
    op.create_index('events_job', 'events', ['job', 'kind', 'seq'], unique=False)
    # ### end Alembic commands ###

    # TaskFlow's schema has no index on these: loading one job would read every job's atoms.
    op.create_index('flowdetails_parent', 'flowdetails', ['parent_uuid'])
    op.create_index('atomdetails_parent', 'atomdetails', ['parent_uuid'])


def downgrade() -> None:
    op.drop_index('atomdetails_parent', 'atomdetails')
    op.drop_index('flowdetails_parent', 'flowdetails')
    op.drop_index('events_job', table_name='events')
    op.drop_table('events')
    op.drop_table('attempts')
    op.drop_index('sessions_expires', table_name='sessions')
    op.drop_table('sessions')
    op.drop_index('postings_job', table_name='postings')
    op.drop_index('postings_held', table_name='postings', postgresql_where=sa.text('session IS NOT NULL'), sqlite_where=sa.text('session IS NOT NULL'))
    op.drop_index('postings_free', table_name='postings', postgresql_where=sa.text('session IS NULL AND trashed_at IS NULL'), sqlite_where=sa.text('session IS NULL AND trashed_at IS NULL'))
    op.drop_table('postings')
    op.drop_index('jobs_unposted', table_name='jobs', postgresql_where=sa.text("posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"), sqlite_where=sa.text("posting IS NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'paused', 'revert_failed'))"))
    op.drop_index('jobs_state', table_name='jobs')
    op.drop_index('jobs_owner', table_name='jobs', postgresql_where=sa.text('owner IS NOT NULL'), sqlite_where=sa.text('owner IS NOT NULL'))
    op.drop_index('jobs_key', table_name='jobs', postgresql_where=sa.text("key IS NOT NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'revert_failed'))"), sqlite_where=sa.text("key IS NOT NULL AND (state NOT IN ('cancelled', 'completed', 'failed', 'revert_failed'))"))
    op.drop_index('jobs_flow_state', table_name='jobs')
    op.drop_index('jobs_flow', table_name='jobs')
    op.drop_index('jobs_finished', table_name='jobs')
    op.drop_table('jobs')
    op.drop_table('conductors')
    # ### end Alembic commands ###
