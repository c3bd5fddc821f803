// Draws one of our dashboards with Grafana's own library, from Prometheus' answers: window.PICTURE has both.
// Heat maps and state timelines are parts of Grafana that the library does not have; their places say so.
import React from 'react';
import 'uplot/dist/uPlot.min.css';
import { createRoot } from 'react-dom/client';
import { createTheme, dateTime, FieldType, getDisplayProcessor, toDataFrame } from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries } from '@grafana/ui';

const { board, answers, from, to } = (window as any).PICTURE;
const theme = createTheme({ colors: { mode: 'dark' } });
const [COLUMN, ROW, GAP] = [66, 38, 8];

const PALETTE = theme.visualization.palette;

const field = (name: string, values: any[], config: any, type = FieldType.number) => {
  const made: any = { name, type, values, config: { ...config, displayName: name } };
  made.display = getDisplayProcessor({ field: made, theme });
  return made;
};

// "{{jail}}, observed" with the labels of a series
const named = (legend: string, labels: any) => legend.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '');

const frames = (panel: any) => {
  let number = 0;
  return panel.targets.flatMap((target: any) =>
    (answers[panel.id]?.[target.refId] ?? []).map((series: any) =>
      toDataFrame({
        refId: target.refId,
        fields: [
          field('time', series.values.map(([at]: any) => at * 1000), {}, FieldType.time),
          field(named(target.legendFormat, series.metric) || 'value', series.values.map(([, value]: any) => (value === 'NaN' ? null : Number(value))),
            { ...panel.fieldConfig.defaults, color: { mode: 'fixed', fixedColor: PALETTE[number++ % PALETTE.length] } }),
        ],
      })
    )
  );
};

const rows = (panel: any) => {
  const { renameByName: names, indexByName } = panel.transformations[1].options;
  const merged = new Map<string, any>();
  panel.targets.forEach((target: any) => {
    const column = names[panel.targets.length > 1 ? `Value #${target.refId}` : 'Value'];
    (answers[panel.id]?.[target.refId] ?? []).forEach((series: any) => {
      const key = JSON.stringify(Object.entries(series.metric).sort());
      merged.set(key, { ...merged.get(key), ...series.metric, [column]: Number(series.value[1]) });
    });
  });
  const found = [...merged.values()];
  const columns = Object.keys(indexByName).map((name) => {
    const label = names[name];
    const isLabel = !name.startsWith('Value');
    const override = panel.fieldConfig.overrides.find((each: any) => each.matcher.options === label);
    const config = Object.fromEntries((override?.properties ?? []).filter((each: any) => each.id !== 'links').map((each: any) => [each.id, each.value]));
    return field(label, found.map((row) => row[isLabel ? name : label]), { custom: {}, ...config }, isLabel ? FieldType.string : FieldType.number);
  });
  return toDataFrame({ fields: columns });
};

const Inside = ({ panel, width, height }: any) => {
  if (panel.type === 'stat') {
    const value = Number(answers[panel.id]?.A?.[0]?.value[1] ?? NaN);
    const shown = field('value', [value], panel.fieldConfig.defaults).display(value);
    return <BigValue width={width} height={height} theme={theme} value={shown} colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.None} />;
  }
  const data = panel.type === 'timeseries' ? frames(panel) : [];
  if (panel.type === 'timeseries' && data.length) {
    const range = { from: dateTime(from * 1000), to: dateTime(to * 1000), raw: { from: 'now-1h', to: 'now' } };
    return <TimeSeries frames={data} width={width} height={height} timeRange={range as any} timeZone="utc" legend={panel.options.legend} />;
  }
  if (panel.type === 'table' && rows(panel).length) {
    return <Table data={rows(panel)} width={width} height={height} columnMinWidth={60} />;
  }
  const why = ['timeseries', 'table'].includes(panel.type) ? 'No data' : 'not in Grafana\u2019s library for panels, and so not in this picture';
  return <div style={{ display: 'grid', placeItems: 'center', width, height, color: theme.colors.text.secondary }}>{why}</div>;
};

const Panel = ({ panel }: any) => {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute' as const, left: x * COLUMN, top: y * ROW };
  if (panel.type === 'row') {
    return <h4 style={{ ...place, lineHeight: `${ROW}px`, margin: 0 }}>{panel.title}</h4>;
  }
  const [width, height] = [w * COLUMN - GAP, h * ROW - GAP];
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={width} height={height}>
        {(innerWidth, innerHeight) => <Inside panel={panel} width={innerWidth} height={innerHeight} />}
      </PanelChrome>
    </div>
  );
};

createRoot(document.getElementById('root')!).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    {board.panels.map((panel: any) => <Panel key={panel.id} panel={panel} />)}
  </ThemeContext.Provider>
);
